import { DomainError, InvalidInputError } from '../platform/errors/domain-error.ts';
import type { Brand } from '../platform/ids/brand.ts';
import type { MailingSettings } from './mailing-settings.ts';
import type { SendWindow } from './send-window.ts';
import type { SubscriberStatus } from './subscriber.ts';

/** The slug of a group: lower case, 1 to 63 characters. */
export type GroupName = Brand<string, 'GroupName'>;

export const GROUP_NAME_PATTERN = /^[a-z0-9][a-z0-9_-]{0,62}$/;

// As a group, it would take over paths from the short ones of groups: /v1/subscribers/{email} erases a person.
const API_VERSION = 'v1';

/** A named audience. */
export interface Group extends GroupSettings {
  readonly name: GroupName;
  readonly addedAt: Temporal.Instant;
  readonly version: number;
  readonly counts: Readonly<Record<SubscriberStatus, number>>;
}

/** What the owner of a group decides; each is used where a message does not say otherwise. */
export interface GroupSettings extends MailingSettings {
  /** A mailbox such as `News <news@example.com>`. */
  readonly from: string | undefined;
  readonly replyTo: string | undefined;
  /** An IANA zone name. */
  readonly timeZone: string | undefined;
  /** Mails per second to all of the group together; absent: as fast as the channel may. */
  readonly maxSendRate: number | undefined;
  /** Absent: at any time. */
  readonly sendWindow: SendWindow | undefined;
}

export class GroupNotFoundError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'group-not-found';

  constructor(name: GroupName, options?: ErrorOptions) {
    super(`There is no group '${name}'. The first subscriber or message makes it, and so does PUT.`, options);
  }
}

/** Thrown on removing a group that a message still needs. */
export class GroupInUseError extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'group-in-use';

  constructor(name: GroupName, options?: ErrorOptions) {
    super(
      `The group '${name}' has messages that are not finished. Cancel them first, then remove the group.`,
      options,
    );
  }
}

/**
 * The group that `text` names, lower-cased.
 * @throws {InvalidInputError} where it is not a slug.
 */
export function parseGroupName(text: string): GroupName {
  const name = text.toLowerCase();
  if (!isGroupName(name)) {
    throw new InvalidInputError([
      {
        pointer: 'group',
        detail:
          'A group name has 1 to 63 characters: letters a to z, digits, hyphen and underscore, and starts with a letter or a digit.',
      },
    ]);
  }
  if (name === API_VERSION) {
    throw new InvalidInputError([
      {
        pointer: 'group',
        detail: `No group can be named ${name}: the paths of this API begin with it.`,
      },
    ]);
  }
  return name;
}

export function isGroupName(text: string): text is GroupName {
  return GROUP_NAME_PATTERN.test(text);
}
