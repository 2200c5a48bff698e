import { isTimeZone } from 'class-validator';
import type { Fault } from '../../platform/errors/domain-error.ts';
import { textFault } from '../../platform/http/is-plain-text.ts';
import { attributesFault } from '../attributes.ts';
import { EMAIL_TEXT_MAX_LENGTH, NAME_MAX_LENGTH, TIME_ZONE_FAULT } from '../subscriber.dto.ts';
import {
  type Attributes,
  parseEmail,
  SUBSCRIBER_STATUSES,
  type SubscriberEmail,
  type SubscriberKey,
  subscriberKey,
  type SubscriberStatus,
} from '../subscriber.ts';

// The zones that there are, some 600 with their aliases; asking Intl for each row would take longer than all the rest of it.
const KNOWN_ZONES_MAX = 1_000;
const STATUS_FAULT = `One of ${SUBSCRIBER_STATUSES.join(', ')} is needed.`;

/** What a file says of one address. What is absent stays as it is, `null` empties it. */
export interface ImportRow {
  readonly email: SubscriberEmail;
  readonly key: SubscriberKey;
  readonly name: string | null | undefined;
  /** Each is set by itself; those that are not named stay. */
  readonly attributes: Attributes | null | undefined;
  readonly timeZone: string | null | undefined;
  readonly status: SubscriberStatus | undefined;
}

/** The fields of a row as they were read, of any type. */
export interface RowFields {
  readonly email: unknown;
  readonly name?: unknown;
  readonly attributes?: unknown;
  readonly time_zone?: unknown;
  readonly status?: unknown;
}

export type ReadRow =
  | { readonly kind: 'row'; readonly line: number; readonly row: ImportRow }
  /** `email` as the file has it, as far as it could be read. */
  | {
      readonly kind: 'rejected';
      readonly line: number;
      readonly email: string;
      readonly faults: readonly Fault[];
    };

/**
 * Checks a row by the rules of POST …/subscribers (NewSubscriber), without class-validator, which takes 30 µs for each.
 * All faults are told at once, each with its pointer.
 */
export function checkRow(fields: RowFields, line: number): ReadRow {
  const email = readEmail(fields.email);
  const faults: Fault[] = email.kind === 'invalid' ? [{ pointer: '/email', detail: email.detail }] : [];
  noteFault(faults, 'name', fields.name, nameFault);
  noteFault(faults, 'attributes', fields.attributes, attributesFault);
  noteFault(faults, 'time_zone', fields.time_zone, timeZoneFault);
  noteFault(faults, 'status', fields.status, statusFault);
  if (email.kind === 'invalid' || faults.length > 0) {
    return { kind: 'rejected', line, email: shown(fields.email), faults };
  }
  return {
    kind: 'row',
    line,
    row: {
      email: email.email,
      key: subscriberKey(email.email),
      name: textOrNull(fields.name),
      attributes: objectOrNull(fields.attributes),
      timeZone: textOrNull(fields.time_zone),
      status: SUBSCRIBER_STATUSES.find((status) => status === fields.status),
    },
  };
}

/** An address of a row that is rejected, as a report may show it. */
export function shown(email: unknown): string {
  return typeof email === 'string' ? email.slice(0, EMAIL_TEXT_MAX_LENGTH / 16).toWellFormed() : '';
}

function readEmail(value: unknown): ReturnType<typeof parseEmail> {
  const detail = textFault(value, { min: 1, max: EMAIL_TEXT_MAX_LENGTH });
  if (detail !== undefined || typeof value !== 'string') {
    return { kind: 'invalid', detail: detail ?? 'It must be text.' };
  }
  return parseEmail(value);
}

function noteFault(
  faults: Fault[],
  field: string,
  value: unknown,
  rule: (value: unknown) => string | undefined,
): void {
  const detail = value === undefined || value === null ? undefined : rule(value);
  if (detail !== undefined) {
    faults.push({ pointer: `/${field}`, detail });
  }
}

function nameFault(value: unknown): string | undefined {
  return textFault(value, { min: 1, max: NAME_MAX_LENGTH });
}

const knownZones = new Set<unknown>();

function timeZoneFault(value: unknown): string | undefined {
  if (knownZones.has(value)) {
    return undefined;
  }
  if (!isTimeZone(value)) {
    return TIME_ZONE_FAULT;
  }
  if (typeof value === 'string' && knownZones.size < KNOWN_ZONES_MAX) {
    knownZones.add(Buffer.from(value).toString()); // a copy: the text of a cell may keep all that was read with it
  }
  return undefined;
}

function statusFault(value: unknown): string | undefined {
  return SUBSCRIBER_STATUSES.some((status) => status === value) ? undefined : STATUS_FAULT;
}

function textOrNull(value: unknown): string | null | undefined {
  return typeof value === 'string' || value === null ? value : undefined;
}

function objectOrNull(value: unknown): Attributes | null | undefined {
  return typeof value === 'object' && value !== null ? { ...value } : value === null ? null : undefined;
}
