import { hash } from 'node:crypto';
import { DomainError, type Fault } from '../platform/errors/domain-error.ts';

export const TEMPLATES = ['none', 'liquid'] as const;
/** `none`: what was given is sent as it is. `liquid`: subject, body and text are LiquidJS templates. */
export type Template = (typeof TEMPLATES)[number];

/** Everything that the mail is made of. */
export interface Content {
  readonly subject: string;
  /** HTML. */
  readonly body: string;
  /** The plain-text part; made from the HTML where absent. */
  readonly text: string | undefined;
  readonly template: Template;
  readonly from: string | undefined;
  readonly replyTo: string | undefined;
}

/** Content as it is stored: the bytes, and the hash that they must have when they are read. */
export interface SealedContent {
  readonly bytes: Buffer;
  readonly sha256: string;
}

/** Body and text together are larger than BODY_LIMIT. */
export class ContentTooLargeError extends DomainError {
  readonly kind = 'too-large';
  readonly code = 'content-too-large';
  override readonly faults: readonly Fault[];

  constructor(bytes: number, limitBytes: number, options?: ErrorOptions) {
    super(`Body and text have ${bytes} bytes together; the limit is ${limitBytes}.`, options);
    this.faults = [{ pointer: '/body', detail: `At most ${limitBytes} bytes, together with the text.` }];
  }
}

/** Makes the stored form: a JSON document with its members in a fixed order, so that the same content has the same hash. */
export function sealContent(content: Content): SealedContent {
  const bytes = Buffer.from(
    JSON.stringify({
      subject: content.subject,
      body: content.body,
      text: content.text ?? null,
      template: content.template,
      from: content.from ?? null,
      reply_to: content.replyTo ?? null,
    } satisfies StoredContent),
  );
  return { bytes, sha256: sha256Hex(bytes) };
}

export function sha256Hex(bytes: Buffer): string {
  return hash('sha256', bytes, 'hex');
}

/**
 * Reads what `sealContent` made.
 * @throws {Error} on anything else: the hash was verified before, so it is a defect, not bad input.
 */
export function openContent(bytes: Buffer): Content {
  const stored: unknown = JSON.parse(bytes.toString());
  if (!isStoredContent(stored)) {
    throw new Error('The stored content has another form than this version writes.');
  }
  return {
    subject: stored.subject,
    body: stored.body,
    text: stored.text ?? undefined,
    template: stored.template,
    from: stored.from ?? undefined,
    replyTo: stored.reply_to ?? undefined,
  };
}

interface StoredContent {
  readonly subject: string;
  readonly body: string;
  readonly text: string | null;
  readonly template: Template;
  readonly from: string | null;
  readonly reply_to: string | null;
}

function isStoredContent(value: unknown): value is StoredContent {
  return (
    typeof value === 'object' &&
    value !== null &&
    'subject' in value &&
    isText(value.subject) &&
    'body' in value &&
    isText(value.body) &&
    'text' in value &&
    isTextOrNull(value.text) &&
    'template' in value &&
    TEMPLATES.some((template) => template === value.template) &&
    'from' in value &&
    isTextOrNull(value.from) &&
    'reply_to' in value &&
    isTextOrNull(value.reply_to)
  );
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function isTextOrNull(value: unknown): boolean {
  return value === null || isText(value);
}
