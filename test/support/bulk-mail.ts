/*
 * What the RFCs ask of a mail to a list, looked for in its bytes as they went out: RFC 5322 (the form), RFC 2369 and RFC 2919 (List-*),
 * RFC 8058 (one click) and RFC 6376 (what a signature can cover).
 */

interface Field {
  readonly name: string;
  /** As it stands in the mail, with the breaks of its lines. */
  readonly raw: string;
  readonly value: string;
}

// RFC 8058, 4 and RFC 2369, 2: each of them once, so that a signature covers what is read (RFC 6376, 5.4.2).
const ONCE = [
  'from',
  'to',
  'subject',
  'date',
  'message-id',
  'mime-version',
  'list-unsubscribe',
  'list-unsubscribe-post',
  'list-id',
  'precedence',
  'feedback-id',
];

/** What is wrong with it; empty where nothing is. */
export function bulkMailFaults(mail: Buffer): readonly string[] {
  const text = mail.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  const fields = fieldsOf(text.slice(0, end));
  return [
    ...(end === -1 ? ['RFC 5322, 2.1: there is no empty line behind the headers'] : []),
    ...(/[^\r]\n|\r[^\n]/.test(text) ? ['RFC 5322, 2.1: a line does not end with CRLF'] : []),
    // eslint-disable-next-line no-control-regex -- control characters are what it looks for
    ...(/[^\u0000-\u007f]/.test(text) ? ['RFC 5322, 2.1: it is not ASCII'] : []),
    ...(text.split('\r\n').some((line) => line.length > 998) ? ['RFC 5322, 2.1.1: a line is too long'] : []),
    ...ONCE.flatMap((name) => {
      const count = fields.filter((field) => field.name === name).length;
      return count === 1 ? [] : [`${name} is there ${count} times`];
    }),
    ...fields.flatMap(fieldFaults),
  ];
}

/** The URL of the one-click POST. */
export function oneClickUrl(mail: Buffer): string {
  const [, url] = /^List-Unsubscribe: <([^>]+)>/m.exec(mail.toString('latin1')) ?? [];
  if (url === undefined) {
    throw new Error('The mail has no List-Unsubscribe.');
  }
  return url;
}

function fieldFaults({ name, raw, value }: Field): readonly string[] {
  switch (name) {
    case 'list-unsubscribe':
      return [
        ...(raw.includes('\r\n') ? ['RFC 8058: List-Unsubscribe is folded'] : []),
        ...(/^<https:\/\/[^\s<>,]+>(?:, <mailto:[^\s<>,]+>)?$/.test(value)
          ? []
          : [`RFC 8058, 3.1: List-Unsubscribe has no https link first: ${value}`]),
      ];
    case 'list-unsubscribe-post':
      return raw === 'List-Unsubscribe-Post: List-Unsubscribe=One-Click' ? [] : [`RFC 8058, 3.1: ${raw}`];
    case 'list-id':
      return /^(?:[^<>]+ )?<[A-Za-z0-9_-]+(?:\.[A-Za-z0-9-]+)+>$/.test(value) && !raw.includes('\r\n')
        ? []
        : [`RFC 2919, 2: ${raw}`];
    case 'list-help':
    case 'list-owner':
      return /^<(?:https?|mailto):[^\s<>]+>$/.test(value) ? [] : [`RFC 2369, 3: ${raw}`];
    case 'precedence':
      return value === 'bulk' ? [] : [`precedence is ${value}`];
    case 'auto-submitted':
      return ['RFC 3834, 5: a mail of a list is not submitted automatically'];
    case 'feedback-id':
      return /^[^:\s]+:[^:\s]+:[^:\s]+:[A-Za-z0-9_-]{5,15}$/.test(value) ? [] : [`Feedback-ID: ${value}`];
    default:
      return [];
  }
}

function fieldsOf(head: string): readonly Field[] {
  return head.split(/\r\n(?![ \t])/).map((raw) => {
    const colon = raw.indexOf(':');
    return {
      name: raw.slice(0, colon).toLowerCase(),
      raw,
      value: raw
        .slice(colon + 1)
        .replaceAll('\r\n', '')
        .trim(),
    };
  });
}
