import { domainToASCII } from 'node:url';
import { isEmail } from 'class-validator';
import { DomainError } from '../platform/errors/domain-error.ts';
import type { Brand } from '../platform/ids/brand.ts';
import { EMAIL_MAX_LENGTH } from '../platform/mail/mailbox.ts';
import type { GroupName } from './group.ts';

/** An address as mail is sent to it: the local part as given, the domain in lower case and in ASCII. */
export type SubscriberEmail = Brand<string, 'SubscriberEmail'>;

/** An address as it is compared and ordered: lower case throughout. ASCII, so every engine sorts it the same way. */
export type SubscriberKey = Brand<string, 'SubscriberKey'>;

export const SUBSCRIBER_STATUSES = ['active', 'pending', 'unsubscribed', 'bounced', 'complained'] as const;

/** Only `active` receives. `pending` has not confirmed yet; the other three must not be written to any more. */
export type SubscriberStatus = (typeof SUBSCRIBER_STATUSES)[number];

/** Free data about a subscriber, for templates. */
export type Attributes = Readonly<Record<string, unknown>>;

/** One address in a group. */
export interface Subscriber {
  readonly group: GroupName;
  readonly key: SubscriberKey;
  readonly email: SubscriberEmail;
  readonly status: SubscriberStatus;
  readonly name: string | undefined;
  readonly attributes: Attributes;
  /** An IANA zone name. */
  readonly timeZone: string | undefined;
  readonly joinedAt: Temporal.Instant;
  readonly version: number;
}

// Of what isEmail takes, nearly every address that there is; it tells them in a tenth of the time. What it does not know, isEmail decides.
const PLAIN_EMAIL =
  /^[a-z0-9_+-](?:\.?[a-z0-9_+-]){0,31}@(?:[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\.){1,5}[a-z]{2,20}$/i;
const ENCODED = /[@.]xn--/i;

export class SubscriberNotFoundError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'subscriber-not-found';

  constructor(group: GroupName, options?: ErrorOptions) {
    super(`The group '${group}' has no such subscriber.`, options);
  }
}

/** Thrown on making somebody active again who must not be written to, without saying that this is meant. */
export class ResubscribeRefusedError extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'resubscribe-refused';

  constructor(status: SubscriberStatus, options?: ErrorOptions) {
    super(
      `This subscriber is ${status}. To write to them again, send "resubscribe": true and a "reason" with "status": "active", and only if they asked for it.`,
      options,
    );
  }
}

export type EmailParse =
  | { readonly kind: 'email'; readonly email: SubscriberEmail }
  | { readonly kind: 'invalid'; readonly detail: string };

/** Reads an address; says in words what is wrong with one that cannot be used. */
export function parseEmail(text: string): EmailParse {
  if (text.length > EMAIL_MAX_LENGTH) {
    return { kind: 'invalid', detail: `An address has at most ${EMAIL_MAX_LENGTH} characters.` };
  }
  const at = text.lastIndexOf('@');
  if (at < 1) {
    return { kind: 'invalid', detail: 'An address has a name, an @ and a domain: ada@example.com.' };
  }
  const name = text.slice(0, at);
  const domain = text.slice(at + 1);
  const plain = `${name}@${domain.toLowerCase()}`;
  if (isPlainEmail(plain)) {
    return { kind: 'email', email: plain };
  }
  const email = `${name}@${domainToASCII(domain).toLowerCase()}`;
  if (!isSubscriberEmail(email)) {
    return {
      kind: 'invalid',
      detail:
        'This is not an address that mail can be sent to, such as ada@example.com: no spaces, line breaks or quotation marks, ASCII before the @, a domain with a dot after it.',
    };
  }
  return { kind: 'email', email };
}

/** The form in which `email` is compared. */
export function subscriberKey(email: SubscriberEmail): SubscriberKey {
  const key = email.toLowerCase();
  if (!isSubscriberKey(key)) {
    throw new Error('An address that was parsed has become unusable by lower-casing it.');
  }
  return key;
}

export function isSubscriberEmail(text: string): text is SubscriberEmail {
  return PLAIN_EMAIL.test(text) || isEmail(text, { allow_utf8_local_part: false, blacklisted_chars: '"' });
}

/** ASCII already, and nothing in it that is encoded: turning its domain into ASCII, which takes a microsecond, would change nothing. */
function isPlainEmail(text: string): text is SubscriberEmail {
  return PLAIN_EMAIL.test(text) && !ENCODED.test(text);
}

export function isSubscriberKey(text: string): text is SubscriberKey {
  return text === text.toLowerCase() && text.includes('@');
}
