import type { SendResult } from './channel.ts';
import { type Reply, SmtpLostError } from './smtp-session.ts';

/** To which command a reply was given. */
export type SmtpStep = 'MAIL FROM' | 'RCPT TO' | 'DATA' | 'content';

const PROVIDER_ID_MAX_LENGTH = 200;
const REASON_MAX_LENGTH = 500;

// RFC 3463: x.1.7 and x.1.8, the sender's address is bad; x.3.4, larger than the system takes.
const ABOUT_SENDER_PATTERN = /^5\d\d[ -]5\.(?:1\.[78]|3\.4)\b/;

// Errors of nodemailer, after which there is no connection.
const LOST_CODES: ReadonlySet<unknown> = new Set([
  'ECONNECTION',
  'ETIMEDOUT',
  'ESOCKET',
  'EDNS',
  'ETLS',
  'EPROTOCOL',
  'EPROXY',
]);

/*
 * Of the address itself, for good (IANA, "SMTP Enhanced Status Codes", from RFC 3463 and RFC 7505): no such mailbox (x.1.1), no such system
 * (x.1.2), not an address there (x.1.3), moved away (x.1.6), a domain that takes no mail (x.1.10), a mailbox that was closed (x.2.1).
 * Not counted, though permanent for this mail: a mailbox that is full (x.2.2), routing (x.4), content (x.6), whatever a policy says of the
 * sender (x.7), and a reply without such a code, which may be any of these.
 */
const DEAD_ADDRESS_PATTERN = /^5\d\d[ -]5\.(?:1\.(?:[1236]|10)|2\.1)\b/;

/** What a reply after the content says; its text is what the server calls the mail. */
export function resultOfContent({ code, text }: Reply): SendResult {
  return code >= 200 && code < 300
    ? { kind: 'accepted', providerId: oneLine(text, PROVIDER_ID_MAX_LENGTH) }
    : resultOfReply('content', { code, text });
}

/** What a reply says that refuses a command. */
export function resultOfReply(step: SmtpStep, { code, text }: Reply): SendResult {
  const reason = oneLine(text, REASON_MAX_LENGTH);
  if (code < 400) {
    return step === 'content'
      ? { kind: 'unknown', reason: `A reply that makes no sense here: ${reason}` }
      : { kind: 'deferred', reason: `A reply to ${step} that makes no sense: ${reason}` };
  }
  if (code < 500 || code === 503) {
    return { kind: 'deferred', reason };
  }
  const isAboutSender = step === 'MAIL FROM' || code === 530 || ABOUT_SENDER_PATTERN.test(reason);
  if (isAboutSender) {
    return { kind: 'refused', reason };
  }
  return DEAD_ADDRESS_PATTERN.test(reason)
    ? { kind: 'rejected', reason, bounced: true, isDead: true }
    : { kind: 'rejected', reason, bounced: true };
}

export function resultOfSize(bytes: number, maxBytes: number): SendResult {
  return {
    kind: 'refused',
    reason: `The mail has ${bytes} bytes; the server takes ${maxBytes} at most.`,
  };
}

/**
 * What an error of the connection says about a mail.
 * @throws the error, where it is none that a connection has.
 */
export function resultOfLoss(error: unknown, mayBeTaken: boolean): SendResult {
  if (!(error instanceof Error)) {
    throw error;
  }
  const { code, response, responseCode } = fieldsOf(error);
  const reason = oneLine(typeof response === 'string' ? response : error.message, REASON_MAX_LENGTH);
  if (mayBeTaken) {
    return { kind: 'unknown', reason: `No answer after the whole mail had gone out: ${reason}` };
  }
  if (code === 'EAUTH' || code === 'ENOAUTH') {
    return isPassing(responseCode) ? { kind: 'deferred', reason } : { kind: 'refused', reason };
  }
  if (code === 'EPROTOCOL' && typeof responseCode === 'number' && responseCode >= 500) {
    return { kind: 'refused', reason };
  }
  if (error instanceof SmtpLostError || LOST_CODES.has(code)) {
    return { kind: 'deferred', reason };
  }
  throw error;
}

function isPassing(responseCode: unknown): boolean {
  return typeof responseCode === 'number' && (responseCode < 500 || responseCode === 503);
}

function fieldsOf(error: Error): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(error));
}

function oneLine(text: string, maxLength: number): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, maxLength).toWellFormed();
}
