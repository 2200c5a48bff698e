import { Injectable, Param, type PipeTransform } from '@nestjs/common';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { isMessageKey, type MessageKey } from './message.ts';
import { isSeriesKey, type SeriesKey } from './occurrence.ts';

@Injectable()
class MessageKeyPipe implements PipeTransform<string, MessageKey | 'latest'> {
  transform(text: string): MessageKey | 'latest' {
    const key = text.toLowerCase();
    if (key !== 'latest' && !isMessageKey(key)) {
      throw new InvalidInputError([
        {
          pointer: 'key',
          detail:
            'A message key is a UUIDv7, as POST …/schedule answers it; latest stands for the message added last.',
        },
      ]);
    }
    return key;
  }
}

export const MESSAGE_PARAM_DOCS = {
  name: 'key',
  description: 'The message key; latest stands for the message of the group that was added last.',
  schema: {
    type: 'string',
    pattern:
      '^([Ll][Aa][Tt][Ee][Ss][Tt]|[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12})$',
    example: 'latest',
  },
};

/** The message that the path names, or `latest`: whichever of the group was added last. */
export const MessageParam = (): ParameterDecorator => Param('key', MessageKeyPipe);

@Injectable()
class SeriesKeyPipe implements PipeTransform<string, SeriesKey | 'latest'> {
  transform(text: string): SeriesKey | 'latest' {
    const key = text.toLowerCase();
    if (key !== 'latest' && !isSeriesKey(key)) {
      throw new InvalidInputError([
        {
          pointer: 'series',
          detail:
            'The key of a series is a UUIDv7, as each of its messages shows it; latest stands for the series added last.',
        },
      ]);
    }
    return key;
  }
}

export const SERIES_PARAM_DOCS = {
  name: 'series',
  description: 'The key of the series; latest stands for the series of the group that was added last.',
  schema: {
    type: 'string',
    pattern:
      '^([Ll][Aa][Tt][Ee][Ss][Tt]|[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12})$',
    example: 'latest',
  },
};

/** The series that the path names, or `latest`: whichever of the group was added last. */
export const SeriesParam = (): ParameterDecorator => Param('series', SeriesKeyPipe);
