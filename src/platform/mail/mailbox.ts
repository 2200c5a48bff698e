import { domainToASCII } from 'node:url';
import { isEmail, ValidateBy, type ValidationOptions } from 'class-validator';
import addressparser from 'nodemailer/lib/addressparser';

/** Who a mail is from, or where answers go: `News <news@example.com>` or a bare address. */
export interface Mailbox {
  /** Empty where the mailbox is a bare address. */
  readonly name: string;
  /** The local part as given, the domain in lower case and in ASCII. */
  readonly address: string;
}

export type MailboxParse =
  | { readonly kind: 'mailbox'; readonly mailbox: Mailbox }
  | { readonly kind: 'invalid'; readonly detail: string };

// RFC 5321, 4.5.3.1.3: a path has 256 octets, two of which are its angle brackets.
export const EMAIL_MAX_LENGTH = 254;

// The longest address, its brackets, and a name that still fits into one header line (RFC 5322, 2.1.1: 998 characters) once encoded.
export const MAILBOX_MAX_LENGTH = 400;

const NOT_A_MAILBOX: MailboxParse = {
  kind: 'invalid',
  detail: 'One mailbox is needed, such as News <news@example.com> or news@example.com.',
};

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL_PATTERN = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

/** Reads a mailbox; says in words what is wrong with one that cannot be used. A domain without a dot is fine: `belfry@localhost`. */
export function parseMailbox(text: string): MailboxParse {
  if (text.length > MAILBOX_MAX_LENGTH) {
    return { kind: 'invalid', detail: `A mailbox has at most ${MAILBOX_MAX_LENGTH} characters.` };
  }
  // First of all: what comes after a line break would be a header of its own.
  if (CONTROL_PATTERN.test(text) || !text.isWellFormed()) {
    return { kind: 'invalid', detail: 'A mailbox is one line of text, without control characters.' };
  }
  const [entry, ...others] = addressparser(text);
  if (entry?.address === undefined || others.length > 0 || !isWholly(text.trim(), entry.address)) {
    return NOT_A_MAILBOX;
  }
  const at = entry.address.lastIndexOf('@');
  const address = `${entry.address.slice(0, at)}@${domainToASCII(entry.address.slice(at + 1)).toLowerCase()}`;
  return isSenderAddress(address)
    ? { kind: 'mailbox', mailbox: { name: entry.name, address } }
    : {
        kind: 'invalid',
        detail: 'The address in it cannot be used: ASCII before the @ and a domain after it are needed.',
      };
}

/** Holds a property to what `parseMailbox` accepts; the message says which rule was broken. */
export function IsMailbox(options?: ValidationOptions): PropertyDecorator {
  return ValidateBy(
    {
      name: 'isMailbox',
      validator: {
        validate: (value: unknown) => mailboxFault(value) === undefined,
        defaultMessage: (args) => mailboxFault(args?.value) ?? 'A mailbox is needed.',
      },
    },
    options,
  );
}

/** Holds a property to an address without a name, with a domain that mail can be sent to. */
export function IsBareAddress(): PropertyDecorator {
  return ValidateBy({
    name: 'isBareAddress',
    validator: {
      validate: (value: unknown) =>
        typeof value === 'string' &&
        value.length <= EMAIL_MAX_LENGTH &&
        isEmail(value, { allow_utf8_local_part: false, blacklisted_chars: '"' }),
      defaultMessage: () => 'An address is needed, such as leave@example.com.',
    },
  });
}

function mailboxFault(value: unknown): string | undefined {
  if (typeof value !== 'string') {
    return 'A mailbox is text.';
  }
  const parse = parseMailbox(value);
  return parse.kind === 'invalid' ? parse.detail : undefined;
}

/** addressparser makes the best of anything (`a b@c.d`, `<a@b.c`, `A <a@b.c> too`); here there is nothing beside name and address. */
function isWholly(text: string, address: string): boolean {
  return text === address || text.endsWith(`<${address}>`);
}

function isSenderAddress(address: string): boolean {
  return (
    address.length <= EMAIL_MAX_LENGTH &&
    isEmail(address, { require_tld: false, allow_utf8_local_part: false, blacklisted_chars: '"' })
  );
}
