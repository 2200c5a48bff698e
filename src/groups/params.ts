import { Injectable, Param, type PipeTransform } from '@nestjs/common';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { type GroupName, parseGroupName } from './group.ts';
import { EMAIL_MAX_LENGTH } from '../platform/mail/mailbox.ts';
import { isSubscriberKey, parseEmail, type SubscriberKey, subscriberKey } from './subscriber.ts';

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

/** For the documentation of paths that name a group. */
export const GROUP_PARAM_DOCS = {
  name: 'group',
  description: 'Its name, which cannot be v1; upper case is read as lower case.',
  schema: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$', example: 'serverless' },
};

/** For the documentation of paths that name a subscriber. */
export const SUBSCRIBER_PARAM_DOCS = {
  name: 'email',
  description: 'The address; upper and lower case are the same.',
  schema: { type: 'string', format: 'email', maxLength: EMAIL_MAX_LENGTH, example: 'ada@example.com' },
};

/** For the documentation of paths that name a suppressed address. */
export const SUPPRESSED_PARAM_DOCS = {
  ...SUBSCRIBER_PARAM_DOCS,
  schema: { ...SUBSCRIBER_PARAM_DOCS.schema, example: 'grace@example.com' },
};

/** For the documentation of paths that name a person to be erased. */
export const ERASED_PARAM_DOCS = {
  ...SUBSCRIBER_PARAM_DOCS,
  schema: { ...SUBSCRIBER_PARAM_DOCS.schema, example: 'joan@example.com' },
};

/** The group that the path names. */
export const GroupParam = (): ParameterDecorator => Param('group', GroupNamePipe);

/** The subscriber that the path names, as it is compared. */
export const SubscriberParam = (): ParameterDecorator => Param('email', SubscriberKeyPipe);

/** The address at which a page of a list ended. Cursors are signed, so another position is a defect. */
export function readPosition(position: unknown): SubscriberKey {
  if (typeof position !== 'string' || !isSubscriberKey(position)) {
    throw new Error('A signed cursor of a list of subscribers has no address in it.');
  }
  return position;
}
