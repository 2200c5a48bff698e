import { ValidateBy } from 'class-validator';
import type { Language } from './language.ts';

export const GROUP_KINDS = ['bulk', 'transactional'] as const;

/**
 * - `bulk`: every mail says how to unsubscribe, in its headers and in its body.
 * - `transactional`: no mail does, because each is about something that its reader did (an order, a password).
 */
export type GroupKind = (typeof GROUP_KINDS)[number];

export const OPT_INS = ['single', 'double'] as const;

/**
 * - `single`: who is added receives.
 * - `double`: who is added is `pending` and gets one mail that asks; who confirms receives.
 */
export type OptIn = (typeof OPT_INS)[number];

/** What the mails of a group say about the group itself. */
export interface MailingSettings {
  readonly kind: GroupKind;
  readonly optIn: OptIn;
  /** For people, in List-Id, footers and pages; absent: the name. */
  readonly displayName: string | undefined;
  /** A URL with https, http or mailto: the header List-Help. */
  readonly listHelp: string | undefined;
  /** The same: List-Owner. */
  readonly listOwner: string | undefined;
  /** An address that takes mails that ask to unsubscribe, beside the link. Belfry does not read them. */
  readonly unsubscribeMailto: string | undefined;
  /** Of the sender, in the footer; several lines. */
  readonly postalAddress: string | undefined;
  /** Of those whose own is not known; absent: English. */
  readonly language: Language | undefined;
}

/** What holds for a group of which nobody has said anything. */
export const USUAL_MAILING: MailingSettings = {
  kind: 'bulk',
  optIn: 'single',
  displayName: undefined,
  listHelp: undefined,
  listOwner: undefined,
  unsubscribeMailto: undefined,
  postalAddress: undefined,
  language: undefined,
};

export const LIST_URL_MAX_LENGTH = 500;
// In angle brackets (RFC 2369, 2), so without them, and on one line.
const LIST_URL_PATTERN = /^(?:https?:\/\/|mailto:)[!-;=?-~]+$/;

/** A URL that a List- header can carry. */
export function IsListUrl(): PropertyDecorator {
  return ValidateBy({
    name: 'isListUrl',
    validator: {
      validate: (value: unknown) =>
        typeof value === 'string' &&
        value.length <= LIST_URL_MAX_LENGTH &&
        LIST_URL_PATTERN.test(value) &&
        URL.canParse(value),
      defaultMessage: () =>
        `A URL with https, http or mailto is needed, such as mailto:help@example.com, in ASCII and of at most ${LIST_URL_MAX_LENGTH} characters.`,
    },
  });
}
