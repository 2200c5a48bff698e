import type { Merge, MergedPart } from '../../schedule/compiled-content.ts';
import { isUsualSubject, mailboxText } from '../mime.ts';
import { withMailLines } from '../mime-part.ts';
import type { Mail, MailHeader } from './channel.ts';

/*
 * One SES template for many mails. In a template that is given with the request ("inline") SES supports only simple substitutions
 * (SES API v2 reference, Template): `{{v}}` is replaced by what the data have for `v`, as it is, because SES escapes nothing
 * (SES Developer Guide, Advanced email personalization). Values that stand in HTML were escaped when they were rendered, so the plain
 * form is the right one; `{{{v}}}`, which Handlebars has for text that is not to be escaped, is not documented for these templates.
 * Whatever SES, or Handlebars behind it, might read otherwise than literally goes as a MIME message of its own instead.
 */

/** What SES puts together for each destination. */
export interface SesTemplate {
  readonly subject: string;
  readonly html: string;
  readonly text: string;
}

/** One mail as a destination of a bulk request. */
export interface SesEntry {
  readonly mail: Mail;
  /** The display name and the address. */
  readonly to: string;
  /** The values of the template, as JSON. */
  readonly data: string;
  /** Beside those of the plan. */
  readonly headers: readonly MailHeader[];
}

/** Mails that can go in one request. */
export interface BulkPlan {
  readonly template: SesTemplate;
  /** Which all of the mails have. */
  readonly headers: readonly MailHeader[];
  readonly entries: readonly SesEntry[];
}

export interface SendPlan {
  readonly bulk: readonly BulkPlan[];
  /** To be sent as MIME messages, one by one. */
  readonly single: readonly Mail[];
}

/** SES API v2 reference, SendBulkEmail and SES Developer Guide, Using templates to send personalized email. */
export const MAX_DESTINATIONS = 50;
// The same: "each input JSON file can be up to 1 MB", all of the request then, and MB in the smaller sense.
const MAX_REQUEST_BYTES = 1_000_000;
// For sender, tags, configuration set and the names of the members.
const REQUEST_OVERHEAD_BYTES = 4_000;
const ENTRY_OVERHEAD_BYTES = 300;
// `{"Name":"","Value":""},`
const HEADER_OVERHEAD_BYTES = 23;
// SES API v2 reference, Template: TemplateData.
const MAX_DATA_LENGTH = 262_144;
// SES API v2 reference, BulkEmailEntry and MessageHeader.
const MAX_HEADERS = 15;
const MAX_HEADER_NAME_LENGTH = 126;
const MAX_HEADER_VALUE_LENGTH = 995;
const MAX_HEADER_LENGTH = 996;
// RFC 5322, 2.1.1: a line has 998 characters at most, and it begins with `To: `. A MIME message of ours folds it.
const MAX_MAILBOX_LENGTH = 990;

const HEADER_NAME_PATTERN = /^[!-9;-~]+$/;
const HEADER_VALUE_PATTERN = /^[ -~]*$/;
const TAG_START = '{{';
// Line ends and tabs are text; what other control characters become is not documented.
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL_PATTERN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/;

/** Whatever was literal before stays so: absent where a part cannot be a template. By the identity of literals, which are the same for all mails of a message. */
const templates = new WeakMap<readonly string[], WeakMap<readonly string[], SesTemplate | undefined>>();

/** Which of the mails go together, and which alone. All of them are of one message. */
export function planSending(mails: readonly Mail[]): SendPlan {
  const single: Mail[] = [];
  const headers = commonHeaders(mails);
  const groups = new Map<SesTemplate, SesEntry[]>();
  for (const mail of mails) {
    const template = mail.merge && templateOf(mail.merge);
    const entry = mail.merge && template && entryOf(mail, mail.merge, headers);
    if (template && entry) {
      groups.getOrInsertComputed(template, () => []).push(entry);
    } else {
      single.push(mail);
    }
  }
  const bulk: BulkPlan[] = [];
  for (const [template, entries] of groups) {
    const cut = cutToSize({ template, headers }, entries);
    bulk.push(...cut.bulk);
    single.push(...cut.single);
  }
  return { bulk, single };
}

/** Those that are not made for one mail: the same object in all of them. */
function commonHeaders([first, ...others]: readonly Mail[]): readonly MailHeader[] {
  return first?.headers.filter((header) => others.every(({ headers }) => headers.includes(header))) ?? [];
}

/** As many to a request as there is room for; whoever has no room even alone goes as a MIME message. */
function cutToSize(common: Omit<BulkPlan, 'entries'>, entries: readonly SesEntry[]): SendPlan {
  const templateBytes = REQUEST_OVERHEAD_BYTES + jsonBytes(common.template) + headerBytes(common.headers);
  const bulk: BulkPlan[] = [];
  const single: Mail[] = [];
  let current: SesEntry[] = [];
  let bytes = templateBytes;
  for (const entry of entries) {
    const entryBytes =
      ENTRY_OVERHEAD_BYTES + jsonBytes(entry.data) + jsonBytes(entry.to) + headerBytes(entry.headers);
    if (templateBytes + entryBytes > MAX_REQUEST_BYTES) {
      single.push(entry.mail);
      continue;
    }
    if (current.length === MAX_DESTINATIONS || bytes + entryBytes > MAX_REQUEST_BYTES) {
      bulk.push({ ...common, entries: current });
      current = [];
      bytes = templateBytes;
    }
    current.push(entry);
    bytes += entryBytes;
  }
  return { bulk: current.length > 0 ? [...bulk, { ...common, entries: current }] : bulk, single };
}

function templateOf({ html, text }: Merge): SesTemplate | undefined {
  let byText = templates.get(html.literals);
  if (!byText) {
    byText = new WeakMap();
    templates.set(html.literals, byText);
  }
  if (!byText.has(text.literals)) {
    byText.set(text.literals, newTemplate(html.literals, text.literals));
  }
  return byText.get(text.literals);
}

function newTemplate(html: readonly string[], text: readonly string[]): SesTemplate | undefined {
  return html.every(isLiteral) && text.every(isLiteral)
    ? // The subject is a value as a whole: it is made one line after it was rendered.
      { subject: '{{s}}', html: tagged(html, 'h'), text: tagged(text, 't') }
    : undefined;
}

/**
 * True for what a template keeps as it is: without `{{`, and next to a replacement tag nothing that could be taken for a part of it
 * (`{` before it or `}` behind it, which would make three braces of two, and a backslash before it, which in Handlebars makes text of it).
 */
function isLiteral(literal: string, index: number, all: readonly string[]): boolean {
  const isBeforeTag = index < all.length - 1;
  const isBehindTag = index > 0;
  return (
    isPlain(literal) &&
    !(isBeforeTag && /[{\\\r]$/.test(literal)) && // CR: its LF could be the first character of the value
    !(isBehindTag && literal.startsWith('}'))
  );
}

function isPlain(text: string): boolean {
  return !text.includes(TAG_START) && !CONTROL_PATTERN.test(text) && text.isWellFormed();
}

function tagged(literals: readonly string[], prefix: string): string {
  return literals
    .map((literal, index) => (index === 0 ? '' : `{{${prefix}${index - 1}}}`) + withMailLines(literal))
    .join('');
}

/** Absent where SES, or its limits, would make something else of the mail. */
function entryOf(mail: Mail, merge: Merge, common: readonly MailHeader[]): SesEntry | undefined {
  const to = mailboxText({ name: mail.toName, address: mail.to });
  const isUsable =
    mail.subject !== '' && // SES wants something in each part
    isUsualSubject(mail.subject) &&
    hasText(merge.html) &&
    hasText(merge.text) &&
    [mail.subject, ...merge.html.values, ...merge.text.values].every(isValue) &&
    to.length <= MAX_MAILBOX_LENGTH &&
    hasUsableHeaders(mail);
  if (!isUsable) {
    return undefined;
  }
  const values: Record<string, string> = { s: mail.subject };
  addValues(values, merge.html, 'h');
  addValues(values, merge.text, 't');
  const data = JSON.stringify(values);
  const headers = mail.headers.filter((header) => !common.includes(header));
  return data.length <= MAX_DATA_LENGTH ? { mail, to, data, headers } : undefined;
}

/** True for what comes out as it is; a CR at its end could belong to an LF behind it. */
function isValue(value: string): boolean {
  return isPlain(value) && !value.endsWith('\r');
}

function addValues(all: Record<string, string>, { values }: MergedPart, prefix: string): void {
  for (const [index, value] of values.entries()) {
    all[`${prefix}${index}`] = withMailLines(value);
  }
}

function hasText({ literals, values }: MergedPart): boolean {
  return literals.some(isVisible) || values.some(isVisible);
}

function isVisible(text: string): boolean {
  return /\S/.test(text);
}

function hasUsableHeaders({ headers }: Mail): boolean {
  return (
    headers.length <= MAX_HEADERS &&
    headers.every(
      ({ name, value }) =>
        HEADER_NAME_PATTERN.test(name) &&
        HEADER_VALUE_PATTERN.test(value) &&
        !value.includes(TAG_START) && // whether SES fills in headers of a template is not documented
        name.length <= MAX_HEADER_NAME_LENGTH &&
        value.length <= MAX_HEADER_VALUE_LENGTH &&
        name.length + value.length <= MAX_HEADER_LENGTH,
    )
  );
}

/** At most: a quotation mark or a backslash takes two. */
function headerBytes(headers: readonly MailHeader[]): number {
  return headers.reduce(
    (sum, { name, value }) => sum + HEADER_OVERHEAD_BYTES + 2 * (name.length + value.length),
    0,
  );
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
