import type { Mail, SendResult } from './channel.ts';

/*
 * What SES says, and what it means for a mail. An error is told by its name; by what it says only where the name leaves open what is
 * meant, and then what is not recognised is read so that nothing is lost. "If the call to Amazon SES fails, Amazon SES returns an error
 * message to your application and does not send the email" (SES Developer Guide, Email sending errors): so every answer but a 5xx says for
 * certain that nothing was taken.
 *
 * Errors of SendEmail and SendBulkEmail; "API" is the SES API v2 reference, "guide" the SES Developer Guide:
 *
 * | error                                                | result    | why, and where it is written                                             |
 * |------------------------------------------------------|-----------|--------------------------------------------------------------------------|
 * | TooManyRequestsException, ThrottlingException and    | throttled | API: too many requests; guide, Errors related to the sending quotas:     |
 * | other names of throttling, any 429                   |           | maximum sending rate exceeded, and the message is dropped                |
 * | the same saying "Daily message quota exceeded"       | refused   | the same page: one name for both, so the text decides; if it should      |
 * |                                                      |           | change, it is taken for throttling, which loses nothing either           |
 * | LimitExceededException                               | refused   | API: too many of a resource; a limit that waiting does not lift          |
 * | SendingPausedException                               | refused   | API: the account's sending is paused                                     |
 * | AccountSuspendedException                            | refused   | API: permanently restricted                                              |
 * | MailFromDomainNotVerifiedException                   | refused   | API: the sending domain is not verified                                  |
 * | NotFoundException                                    | refused   | API: a resource is missing: the configuration set is the only one named  |
 * | MessageRejected, naming the sender as not verified   | refused   | guide, Email sending errors: "Email address is not verified"             |
 * | MessageRejected, anything else                       | rejected  | API: invalid content; guide: also a recipient not verified (sandbox)     |
 * | BadRequestException, ValidationError and the like,   | rejected  | API, Common errors: the request is invalid. Of one mail it is this mail; |
 * | 413                                                  |           | of a bulk request it may be one of many, so each is sent by itself       |
 * | AccessDeniedException, UnrecognizedClientException,  | refused   | API, Common errors: 401, 403: this client may not send at all            |
 * | InvalidSignatureException and the like               |           |                                                                          |
 * | ExpiredTokenException, RequestExpired, no            | deferred  | API, Common errors; the SDK gets new ones, and corrects its clock, with  |
 * | credentials to be had                                |           | the next call                                                            |
 * | any other 4xx                                        | deferred  | certainly not taken, and nothing is known against trying again           |
 * | any 5xx                                              | unknown   | API, Common errors: InternalFailure; it may have been taken before       |
 * | RequestTimeoutException, RequestAbortedException     | unknown   | API, Common errors: SES may have read the request                        |
 * | no connection, no name, no TLS                       | deferred  | nothing had been said yet                                                |
 * | no answer in time, a broken connection, an answer    | unknown   | the request had gone out, or may have                                    |
 * | that cannot be read                                  |           |                                                                          |
 *
 * What comes out as rejected, in the same words for every one of several mails of a call, is about the message and not about an address:
 * it is refused then, so that nobody's delivery fails for good (ses.channel.ts).
 *
 * Status of an entry of SendBulkEmail (API, BulkEmailEntryResult), of which each destination has its own:
 *
 * | status                                               | result    | why                                                                      |
 * |------------------------------------------------------|-----------|--------------------------------------------------------------------------|
 * | SUCCESS                                              | accepted  | SES will attempt to deliver it                                           |
 * | MESSAGE_REJECTED                                     | as above  | the content, or a name that is not verified                              |
 * | MAIL_FROM_DOMAIN_NOT_VERIFIED                        | refused   | the sender is not verified                                               |
 * | CONFIGURATION_SET_NOT_FOUND                          | refused   | no such configuration set                                                |
 * | CONFIGURATION_SET_SENDING_PAUSED                     | refused   | sending with it was switched off                                         |
 * | INVALID_SENDING_POOL_NAME                            | refused   | its pool of IP addresses is not there                                    |
 * | ACCOUNT_SUSPENDED                                    | refused   | the account was shut down                                                |
 * | ACCOUNT_SENDING_PAUSED                               | refused   | sending of the account was switched off                                  |
 * | ACCOUNT_DAILY_QUOTA_EXCEEDED                         | refused   | nothing more goes within 24 hours                                        |
 * | ACCOUNT_THROTTLED                                    | throttled | over the sending limit                                                   |
 * | TRANSIENT_FAILURE, FAILED                            | deferred  | SES was unable to process it                                             |
 * | INVALID_PARAMETER, TEMPLATE_NOT_FOUND                | by itself | something about the template or this destination: as a MIME message it   |
 * |                                                      |           | may go, or be rejected                                                   |
 * | none, or one that is not in this table               | unknown   | nobody knows                                                             |
 */

/** What an answer comes to: a result, or that SES finds fault with the request as such. */
export type SesReading = SendResult | { readonly kind: 'invalid-request'; readonly reason: string };

/** What a bulk request says of one destination. */
export interface SesEntryResult {
  readonly Status?: string | undefined;
  readonly Error?: string | undefined;
  readonly MessageId?: string | undefined;
}

const REASON_MAX_LENGTH = 500;

const THROTTLING = new Set([
  'TooManyRequestsException',
  'ThrottlingException',
  'ThrottledException',
  'Throttling',
  'RequestThrottled',
  'RequestThrottledException',
  'RequestLimitExceeded',
  'BandwidthLimitExceeded', // messages of more than 10 MB (SES Developer Guide, Service quotas)
  'SlowDown',
]);

const INVALID_REQUEST = new Set([
  'BadRequestException',
  'ValidationException',
  'ValidationError',
  'InvalidParameterValue',
  'InvalidParameterCombination',
  'MissingParameter',
  'MalformedQueryString',
  'MalformedHttpRequestException',
  'SerializationException',
  'RequestEntityTooLargeException',
]);

const NO_ACCESS = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'NotAuthorized',
  'OptInRequired',
  'UnrecognizedClientException',
  'InvalidClientTokenId',
  'MissingAuthenticationToken',
  'MissingAuthenticationTokenException',
  'IncompleteSignature',
  'IncompleteSignatureException',
  'InvalidSignatureException',
  'SignatureDoesNotMatch',
  'UnknownOperationException',
]);

const READ_HALF = new Set(['RequestTimeout', 'RequestTimeoutException', 'RequestAbortedException']);

// Of the SDK, before it has asked SES anything.
const NO_CREDENTIALS = new Set(['CredentialsProviderError', 'TokenProviderError', 'ProviderError']);

// What a TLS handshake fails with (Node.js documentation, TLS: X509 certificate error codes).
const TLS_CODE_PATTERN =
  /^(?:CERT_|CRL_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_|EPROTO$)/;

const ACCESS_ADVICE = 'Give this process credentials that may send through SES, then resume the message.';

/** What the operator can do about a refusal. */
const ADVICE: Readonly<Record<string, string>> = {
  LimitExceededException: 'A limit of the AWS account is reached; have it raised, then resume the message.',
  SendingPausedException:
    'Sending is paused for this AWS account; have it enabled again, then resume the message.',
  AccountSuspendedException:
    'AWS has suspended sending for this account; settle that with AWS, then resume the message.',
  MailFromDomainNotVerifiedException:
    'SES has not verified the domain of the sender; verify it, then resume the message.',
  NotFoundException:
    'Something that SES was told to use does not exist, such as SES_CONFIGURATION_SET; mend that, then resume the message.',
  MAIL_FROM_DOMAIN_NOT_VERIFIED: 'SES has not verified the sender; verify it, then resume the message.',
  CONFIGURATION_SET_NOT_FOUND:
    'SES_CONFIGURATION_SET names none that exists; mend that, then resume the message.',
  CONFIGURATION_SET_SENDING_PAUSED:
    'Sending with SES_CONFIGURATION_SET is paused; enable it again, then resume the message.',
  INVALID_SENDING_POOL_NAME:
    'SES_CONFIGURATION_SET refers to a pool of IP addresses that does not exist; mend that, then resume the message.',
  ACCOUNT_SUSPENDED:
    'AWS has suspended sending for this account; settle that with AWS, then resume the message.',
  ACCOUNT_SENDING_PAUSED:
    'Sending is paused for this AWS account; have it enabled again, then resume the message.',
};

const QUOTA_ADVICE =
  "The AWS account's quota of mails in 24 hours is used up; resume the message when there is room again, or have the quota raised.";

/** What the error of a call says of all its mails. Rethrows one that neither SES nor the network has made. */
export function readError(error: unknown, mail: Mail): SesReading {
  if (!(error instanceof Error)) {
    throw error;
  }
  const status = statusOf(error);
  return status === undefined ? readFailureWithoutAnswer(error) : readAnswer(error, status, mail);
}

/** What became of one destination of a bulk request. */
export function readEntry(entry: SesEntryResult | undefined, mail: Mail): SesReading {
  const status = entry?.Status ?? '';
  const said = oneLine(`${status}: ${entry?.Error ?? ''}`);
  switch (status) {
    case 'SUCCESS':
      return { kind: 'accepted', providerId: entry?.MessageId ?? '' };
    case 'MESSAGE_REJECTED':
      return readRejection(said, mail);
    case 'MAIL_FROM_DOMAIN_NOT_VERIFIED':
    case 'CONFIGURATION_SET_NOT_FOUND':
    case 'CONFIGURATION_SET_SENDING_PAUSED':
    case 'INVALID_SENDING_POOL_NAME':
    case 'ACCOUNT_SUSPENDED':
    case 'ACCOUNT_SENDING_PAUSED':
      return { kind: 'refused', reason: withAdvice(said, ADVICE[status]) };
    case 'ACCOUNT_DAILY_QUOTA_EXCEEDED':
      return { kind: 'refused', reason: withAdvice(said, QUOTA_ADVICE) };
    case 'ACCOUNT_THROTTLED':
      return { kind: 'throttled', reason: said };
    case 'TRANSIENT_FAILURE':
    case 'FAILED':
      return { kind: 'deferred', reason: said };
    case 'INVALID_PARAMETER':
    case 'TEMPLATE_NOT_FOUND':
      return { kind: 'invalid-request', reason: said };
    default:
      return { kind: 'unknown', reason: `SES did not say what became of it: ${said}` };
  }
}

function readAnswer(error: Error, status: number, mail: Mail): SesReading {
  const { name } = error;
  const said = oneLine(`${name}: ${error.message}`);
  if (status < 400 || status >= 500 || READ_HALF.has(name)) {
    return { kind: 'unknown', reason: `${said} (HTTP ${status})` };
  }
  if (THROTTLING.has(name) || status === 429) {
    return /\bdaily\b/i.test(error.message)
      ? { kind: 'refused', reason: withAdvice(said, QUOTA_ADVICE) }
      : { kind: 'throttled', reason: said };
  }
  if (name === 'MessageRejected') {
    return readRejection(said, mail);
  }
  if (INVALID_REQUEST.has(name) || status === 413) {
    return { kind: 'invalid-request', reason: said };
  }
  const advice = NO_ACCESS.has(name) ? ACCESS_ADVICE : ADVICE[name];
  return advice === undefined
    ? { kind: 'deferred', reason: said }
    : { kind: 'refused', reason: withAdvice(said, advice) };
}

/**
 * SES has one name for content that it does not like, for a sender that is not verified and, in the sandbox, for a recipient that is not;
 * who is not verified stands at the end: `… failed the check in region EU-WEST-1: ada@example.com, news@example.com`.
 */
function readRejection(said: string, { from }: Mail): SendResult {
  const [, names] = /\bnot verified\b.*:([^:]*)$/i.exec(said) ?? [];
  const domain = from.address.slice(from.address.lastIndexOf('@') + 1);
  const isSender = names?.split(',').some((name) => {
    const identity = name.trim().toLowerCase();
    return (
      identity === from.address.toLowerCase() ||
      identity.endsWith(`<${from.address.toLowerCase()}>`) ||
      identity === domain
    );
  });
  return isSender === true
    ? {
        kind: 'refused',
        reason: `SES has not verified the sender '${from.address}' in this region. Verify it, then resume the message.`,
      }
    : { kind: 'rejected', reason: said };
}

function readFailureWithoutAnswer(error: Error): SesReading {
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''; // such as why a call was broken off
  const reason = oneLine(`${error.name}: ${error.message}${cause}`);
  if (NO_CREDENTIALS.has(error.name)) {
    return { kind: 'deferred', reason };
  }
  if (wasNeverConnected(error)) {
    return { kind: 'deferred', reason: `No connection to SES: ${reason}` };
  }
  if (error.name === 'TimeoutError' || error.name === 'AbortError' || textOf(error, 'code') !== undefined) {
    return { kind: 'unknown', reason: `No answer from SES: ${reason}` };
  }
  if (error instanceof SyntaxError) {
    return { kind: 'unknown', reason: `An answer that is not SES's: ${reason}` }; // the SDK's, on reading a body
  }
  throw error;
}

function wasNeverConnected(error: Error): boolean {
  const code = textOf(error, 'code');
  const syscall = textOf(error, 'syscall');
  // Of several addresses that were tried, each has an error of its own.
  const causes = error instanceof AggregateError ? error.errors : [];
  return (
    syscall === 'connect' ||
    syscall === 'getaddrinfo' ||
    (code !== undefined && TLS_CODE_PATTERN.test(code)) ||
    (causes.length > 0 && causes.every((cause) => cause instanceof Error && wasNeverConnected(cause))) ||
    // The SDK's own timeout for connecting is the only one that has no code.
    (error.name === 'TimeoutError' && code === undefined)
  );
}

/** Absent where no answer came. */
function statusOf(error: Error): number | undefined {
  const metadata: unknown = fieldOf(error, '$metadata');
  const status: unknown =
    typeof metadata === 'object' && metadata !== null ? fieldOf(metadata, 'httpStatusCode') : undefined;
  return typeof status === 'number' ? status : undefined;
}

function textOf(error: Error, name: string): string | undefined {
  const value = fieldOf(error, name);
  return typeof value === 'string' ? value : undefined;
}

function fieldOf(value: object, name: string): unknown {
  return Object.getOwnPropertyDescriptor(value, name)?.value;
}

function withAdvice(said: string, advice = ''): string {
  return `${advice} (${said})`.trim();
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replace(/: $/, '').trim().slice(0, REASON_MAX_LENGTH).toWellFormed();
}
