import { Injectable, Param, type PipeTransform } from '@nestjs/common';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { type GroupName, parseGroupName } from './group.ts';
import { parseEmail, type SubscriberKey, subscriberKey } from './subscriber.ts';

@Injectable()
class GroupNamePipe implements PipeTransform<string, GroupName> {
  transform(text: string): GroupName {
    return parseGroupName(text);
  }
}

@Injectable()
class SubscriberKeyPipe implements PipeTransform<string, SubscriberKey> {
  transform(text: string): SubscriberKey {
    const parsed = parseEmail(text);
    if (parsed.kind === 'invalid') {
      throw new InvalidInputError([{ pointer: 'email', detail: parsed.detail }]);
    }
    return subscriberKey(parsed.email);
  }
}

/** The group that the path names. */
export const GroupParam = (): ParameterDecorator => Param('group', GroupNamePipe);

/** The subscriber that the path names, as it is compared. */
export const SubscriberParam = (): ParameterDecorator => Param('email', SubscriberKeyPipe);
