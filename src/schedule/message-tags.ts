import { formatInstant } from '../platform/clock/clock.ts';

/**
 * What the content of a message is labelled with, on S3 and in the API. Four tags of the ten that an object may have
 * (Amazon S3 User Guide, "Categorizing your objects using tags").
 */
export interface MessageTags {
  readonly group: string;
  readonly subject: string;
  /** RFC 3339, UTC. */
  readonly scheduled: string;
  readonly key: string;
}

export interface TagSource {
  readonly group: string;
  readonly subject: string;
  readonly scheduleOn: Temporal.Instant;
  readonly key: string;
}

// Amazon S3 User Guide, "Categorizing your objects using tags": 256 characters of UTF-16, in which some characters count twice
// (a key may have 128; the longest of ours, `scheduled`, has 9).
const MAX_VALUE_LENGTH = 256;

// AWS Billing User Guide, "User-Defined Tag Restrictions": letters, numbers and spaces representable in UTF-8, and + - = . _ : / @.
// The S3 API Reference, "S3Tag", has the same as a pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*. Of \p{Z} (separators) only the spaces
// are kept. With the flag u, a lone surrogate is a character by itself, and so is replaced.
const FORBIDDEN_CHARACTER = /[^\p{L}\p{N}\p{Zs}+\-=._:/@]/gu;

// AWS Billing User Guide, "User-Defined Tag Restrictions": the prefix is reserved, in keys and in values.
const RESERVED_PREFIX = /^aws:/i;

// What is allowed as it stands: most values. Of ASCII only, so that nothing has to be composed.
const PLAIN_PATTERN = /^[\w+\-=.:/@]*$/;

/** The tags of a message, each value kept within what S3 accepts: a subject may come out shorter, and with `_` for a character that tags cannot have. */
export function messageTags({ group, subject, scheduleOn, key }: TagSource): MessageTags {
  return {
    group: tagValue(group),
    subject: tagValue(subject),
    scheduled: tagValue(formatInstant(scheduleOn)),
    key: tagValue(key),
  };
}

/**
 * The tags as PutObject takes them in `x-amz-tagging`: URL query parameters (S3 API Reference, "PutObject").
 * Percent-encoded throughout, with %20 for a space: not every S3 reads `+` as one.
 */
export function encodeTags(tags: MessageTags): string {
  const { group, subject, scheduled, key } = tags;
  return Object.entries({ group, subject, scheduled, key })
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&');
}

function tagValue(text: string): string {
  if (text.length <= MAX_VALUE_LENGTH && PLAIN_PATTERN.test(text) && !RESERVED_PREFIX.test(text)) {
    return text;
  }
  // Composed first: an accent that is a character by itself is no letter, and would become `_`.
  const allowed = text
    .normalize('NFC')
    .trim()
    .replace(FORBIDDEN_CHARACTER, '_')
    .replace(RESERVED_PREFIX, (prefix) => prefix.replace(':', '_'));
  return cut(allowed).trimEnd();
}

function cut(text: string): string {
  const end = text.slice(0, MAX_VALUE_LENGTH);
  return end.isWellFormed() ? end : end.slice(0, -1); // half of a surrogate pair at the end
}

/** Reads what `encodeTags` made; throws on anything else, which is a defect of the store. */
export function decodeTags(encoded: string): MessageTags {
  const values = new URLSearchParams(encoded);
  const value = (name: string): string => {
    const found = values.get(name);
    if (found === null) {
      throw new Error(`The stored tags have no '${name}'.`);
    }
    return found;
  };
  return {
    group: value('group'),
    subject: value('subject'),
    scheduled: value('scheduled'),
    key: value('key'),
  };
}
