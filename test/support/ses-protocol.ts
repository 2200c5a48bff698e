import { simpleParser } from 'mailparser';
import addressparser from 'nodemailer/lib/addressparser';
import MailComposer from 'nodemailer/lib/mail-composer';
import { at, isObject, type JsonObject } from './json.ts';

/*
 * What SES (API v2) accepts, refuses and makes of a request, as its documentation has it. "API" is the SES API v2 reference, "guide"
 * the SES Developer Guide. Node runs this file as it stands, so everything in it is TypeScript that can be erased.
 */

/** An answer that is an error. */
export class SesFault extends Error {
  override readonly name: string;
  readonly status: number;

  constructor(name: string, status: number, message: string) {
    super(message);
    this.name = name;
    this.status = status;
  }
}

/** What one recipient would receive. */
export interface SesMail {
  readonly recipient: string;
  /** Headers as a mail program shows them. */
  readonly from: string;
  readonly to: string;
  readonly replyTo: string;
  readonly subject: string;
  readonly html: string;
  readonly text: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly configurationSet: string | undefined;
  readonly via: 'bulk' | 'single';
  readonly bytes: number;
}

/** One destination of a bulk request: a mail, or why there is none. */
export type SesDestination =
  | { readonly kind: 'mail'; readonly recipient: string; readonly mail: SesMail }
  | { readonly kind: 'fault'; readonly recipient: string; readonly status: string; readonly error: string }
  /** Accepted, and never delivered (guide, Using templates: Rendering Failure). */
  | { readonly kind: 'lost'; readonly recipient: string };

// API, SendBulkEmail; guide, Using templates.
const MAX_DESTINATIONS = 50;
const MAX_INLINE_BYTES = 1024 * 1024;
// API, Template.
const MAX_DATA_LENGTH = 262_144;
// Guide, Service quotas: recipients per message, message size.
const MAX_RECIPIENTS = 50;
const MAX_MESSAGE_BYTES = 40 * 1024 * 1024;
// API, RawMessage.
const MAX_LINE_LENGTH = 1_000;
// API, Template, MessageHeader.
const MAX_HEADERS = 15;
// API, MessageTag.
const TAG_PATTERN = /^[A-Za-z0-9_.@-]{1,256}$/;
// AWS Messaging Blog, Understanding Google Postmaster Tools (2024): what SES puts into Feedback-ID.
const FEEDBACK_TAG_PATTERN = /^ses:feedback-id-[ab]$/;
// API, CreateConfigurationSet.
const CONFIGURATION_SET_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;

const TAG_START = '{{';
// API, Template: "only simple substitutions". Three braces, and a backslash before them, are something else in Handlebars.
const REPLACEMENT_PATTERN = /^\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}(?!\})/;

/** The mails of a SendEmail request with raw content, the only one that is served. */
export async function readSendEmail(body: JsonObject): Promise<SesMail> {
  const data = at(body, 'Content', 'Raw', 'Data');
  if (typeof data !== 'string') {
    throw invalid('Content: only Raw is served here.');
  }
  const raw = Buffer.from(data, 'base64');
  if (raw.toString('base64') !== data) {
    throw invalid('Data is not base64.');
  }
  checkRaw(raw);
  const [recipient, ...others] = readDestination(at(body, 'Destination'));
  if (recipient === undefined || others.length > 0) {
    throw invalid('One recipient is served here.');
  }
  return mailOf(raw, {
    recipient,
    via: 'single',
    tags: readTags(at(body, 'EmailTags')),
    configurationSet: readConfigurationSet(body),
  });
}

/** The destinations of a SendBulkEmail request with an inline template, in order. Refuses all of it for a fault in any address. */
export async function readSendBulkEmail(body: JsonObject, bytes: number): Promise<readonly SesDestination[]> {
  if (bytes > MAX_INLINE_BYTES) {
    throw invalid(`The request has ${bytes} bytes.`);
  }
  const entries = at(body, 'BulkEmailEntries');
  if (!Array.isArray(entries) || entries.length === 0 || entries.length > MAX_DESTINATIONS) {
    throw invalid(`BulkEmailEntries: 1 to ${MAX_DESTINATIONS} are needed.`);
  }
  const template = readTemplate(at(body, 'DefaultContent', 'Template'));
  const from = readMailbox(at(body, 'FromEmailAddress'), 'FromEmailAddress');
  const replyTo = readList(at(body, 'ReplyToAddresses'), 'ReplyToAddresses').map((address) =>
    readMailbox(address, 'ReplyToAddresses'),
  );
  const common = { from, replyTo, configurationSet: readConfigurationSet(body), template };
  const defaultTags = readTags(at(body, 'DefaultEmailTags'));
  // First all of them: one invalid address refuses the request (SES API reference, SendBulkTemplatedEmail).
  const read = entries.map((entry: unknown) => ({
    entry,
    addresses: readDestination(at(entry, 'Destination')),
  }));
  return Promise.all(
    read.map(async ({ entry, addresses }): Promise<SesDestination> => {
      const [recipient, ...others] = addresses;
      if (recipient === undefined || others.length > 0) {
        throw invalid('One recipient per destination is served here.');
      }
      const tags = { ...defaultTags, ...readTags(at(entry, 'ReplacementTags')) };
      return readEntry(entry, { ...common, recipient, tags });
    }),
  );
}

interface Common {
  readonly recipient: string;
  readonly from: string;
  readonly replyTo: readonly string[];
  readonly configurationSet: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly template: InlineTemplate;
}

interface InlineTemplate {
  readonly subject: string;
  readonly html: string;
  readonly text: string;
  readonly data: JsonObject;
  readonly headers: readonly { readonly key: string; readonly value: string }[];
}

async function readEntry(entry: unknown, common: Common): Promise<SesDestination> {
  const { recipient, template } = common;
  const own = readData(
    at(entry, 'ReplacementEmailContent', 'ReplacementTemplate', 'ReplacementTemplateData'),
    'ReplacementTemplateData',
  );
  const data = Object.keys(own).length === 0 ? template.data : own; // guide, Using templates
  const [subject, html, text] = [template.subject, template.html, template.text].map((part) =>
    substitute(part, data),
  );
  if (subject === undefined || html === undefined || text === undefined) {
    return { kind: 'lost', recipient };
  }
  if (/[\r\n]/.test(subject)) {
    return {
      kind: 'fault',
      recipient,
      status: 'INVALID_PARAMETER',
      error: 'The subject has more than one line.',
    };
  }
  const composer = new MailComposer({
    from: common.from,
    to: textOf(at(entry, 'Destination', 'ToAddresses', 0)),
    replyTo: common.replyTo.join(', '),
    subject,
    html,
    text,
    headers: withReplacements(template.headers, readHeaders(at(entry, 'ReplacementHeaders'))),
    newline: 'win',
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const raw = await composer.compile().build();
  const { tags, configurationSet } = common;
  const mail = await mailOf(raw, { recipient, via: 'bulk', tags, configurationSet });
  return { kind: 'mail', recipient, mail };
}

async function mailOf(
  raw: Buffer,
  known: Pick<SesMail, 'recipient' | 'via' | 'tags' | 'configurationSet'>,
): Promise<SesMail> {
  const parsed = await simpleParser(raw, {
    skipImageLinks: true,
    skipTextToHtml: true,
    skipHtmlToText: true,
  });
  return {
    ...known,
    from: parsed.from?.text ?? '',
    to: [parsed.to]
      .flat()
      .map((list) => list?.text ?? '')
      .join(', '),
    replyTo: parsed.replyTo?.text ?? '',
    subject: parsed.subject ?? '',
    html: typeof parsed.html === 'string' ? parsed.html : '',
    text: parsed.text ?? '',
    headers: Object.fromEntries(
      parsed.headerLines.map(({ key, line }) => [key, line.slice(line.indexOf(':') + 1).trim()]),
    ),
    bytes: raw.length,
  };
}

/** Absent where the data lack a value. */
function substitute(template: string, data: JsonObject): string | undefined {
  let text = '';
  let rest = template;
  for (let start = rest.indexOf(TAG_START); start !== -1; start = rest.indexOf(TAG_START)) {
    const [tag, name = ''] = REPLACEMENT_PATTERN.exec(rest.slice(start)) ?? [];
    if (tag === undefined || /[{\\]$/.test(rest.slice(0, start))) {
      throw invalid(
        `The template cannot be read at ${JSON.stringify(rest.slice(Math.max(0, start - 5), start + 20))}.`,
      );
    }
    const value = data[name];
    if (value === undefined) {
      return undefined;
    }
    text += rest.slice(0, start) + textOf(value); // as it is: guide, Advanced email personalization
    rest = rest.slice(start + tag.length);
  }
  return text + rest;
}

function readTemplate(template: unknown): InlineTemplate {
  const content = at(template, 'TemplateContent');
  if (!isObject(content)) {
    throw invalid('Only inline templates are served here.');
  }
  const part = (name: string): string => {
    const text = content[name];
    if (typeof text !== 'string' || text.trim() === '') {
      throw invalid(`${name} is empty.`);
    }
    return text;
  };
  return {
    subject: part('Subject'),
    html: part('Html'),
    text: part('Text'),
    data: readData(at(template, 'TemplateData'), 'TemplateData'),
    headers: readHeaders(at(template, 'Headers')),
  };
}

function readData(data: unknown, name: string): JsonObject {
  if (data === undefined) {
    return {};
  }
  if (typeof data !== 'string' || data.length > MAX_DATA_LENGTH) {
    throw invalid(`${name} is text of at most ${MAX_DATA_LENGTH} characters.`);
  }
  const parsed: unknown = JSON.parse(data);
  if (!isObject(parsed)) {
    throw invalid(`${name} is no JSON object.`);
  }
  return parsed;
}

/** The bare addresses. */
function readDestination(destination: unknown): readonly string[] {
  const addresses = readList(at(destination, 'ToAddresses'), 'ToAddresses');
  if (addresses.length === 0 || addresses.length > MAX_RECIPIENTS) {
    throw invalid(`A destination has 1 to ${MAX_RECIPIENTS} recipients.`);
  }
  return addresses.map((address) => bareAddress(readMailbox(address, 'ToAddresses')));
}

function readMailbox(value: unknown, name: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  if (typeof value !== 'string' || !/^[\u0020-\u007e]+$/.test(value)) {
    throw invalid(`${name}: an address is ASCII on one line.`);
  }
  bareAddress(value);
  return value;
}

function bareAddress(mailbox: string): string {
  const [entry, ...others] = addressparser(mailbox);
  // SES API reference, SendBulkTemplatedEmail: UserName@[SubDomain.]Domain.TopLevelDomain
  if (
    others.length > 0 ||
    entry?.address === undefined ||
    !/^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/.test(entry.address)
  ) {
    throw invalid(`Invalid address: ${mailbox}`);
  }
  return entry.address;
}

function readTags(tags: unknown): Readonly<Record<string, string>> {
  const read: Record<string, string> = {};
  for (const tag of readList(tags, 'Tags')) {
    const name = at(tag, 'Name');
    const value = at(tag, 'Value');
    if (
      typeof name !== 'string' ||
      typeof value !== 'string' ||
      !(TAG_PATTERN.test(name) || FEEDBACK_TAG_PATTERN.test(name)) ||
      !TAG_PATTERN.test(value)
    ) {
      throw invalid(`Invalid tag: ${JSON.stringify(tag)}`);
    }
    if (name in read) {
      throw invalid(`Duplicate tag: ${name}`);
    }
    read[name] = value;
  }
  return read;
}

function readHeaders(headers: unknown): { key: string; value: string }[] {
  const list = readList(headers, 'Headers');
  if (list.length > MAX_HEADERS) {
    throw invalid(`At most ${MAX_HEADERS} headers.`);
  }
  return list.map((header) => {
    const key = textOf(at(header, 'Name'));
    const value = textOf(at(header, 'Value'));
    if (!/^[!-9;-~]{1,126}$/.test(key) || !/^[ -~]{1,995}$/.test(value) || key.length + value.length > 996) {
      throw invalid(`Invalid header: ${key}`);
    }
    return { key, value };
  });
}

/** API, BulkEmailEntry: of the same name, that of the entry counts. How many there may be is said of each of the two lists. */
function withReplacements<Header extends { readonly key: string }>(
  headers: readonly Header[],
  replacements: readonly Header[],
): Header[] {
  const names = new Set(replacements.map(({ key }) => key.toLowerCase()));
  return [...headers.filter(({ key }) => !names.has(key.toLowerCase())), ...replacements];
}

function readConfigurationSet(body: JsonObject): string | undefined {
  const name = body['ConfigurationSetName'];
  if (name !== undefined && (typeof name !== 'string' || !CONFIGURATION_SET_PATTERN.test(name))) {
    throw invalid('ConfigurationSetName is invalid.');
  }
  return name;
}

function checkRaw(raw: Buffer): void {
  const text = raw.toString('latin1');
  if (raw.length > MAX_MESSAGE_BYTES) {
    throw new SesFault(
      'MessageRejected',
      400,
      `Message length is more than ${MAX_MESSAGE_BYTES} bytes long.`,
    );
  }
  if (!text.includes('\r\n\r\n') || !/^From: /im.test(text)) {
    throw invalid('The message has no header and body, or no sender.');
  }
  if (text.split('\r\n').some((line) => line.length > MAX_LINE_LENGTH)) {
    throw invalid('A line of the message is too long.');
  }
}

function readList(value: unknown, name: string): readonly unknown[] {
  if (value === undefined) {
    return [];
  }
  if (!Array.isArray(value)) {
    throw invalid(`${name} is no list.`);
  }
  return value;
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') {
    throw invalid(`Text is needed instead of ${JSON.stringify(value)}.`);
  }
  return value;
}

function invalid(message: string): SesFault {
  return new SesFault('BadRequestException', 400, message);
}
