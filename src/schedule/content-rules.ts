import type { Content } from './content.ts';
import { faulty, type Finding, finding } from './finding.ts';
import { isText, MAX_HTML_LENGTH } from './html-to-text.ts';

/*
 * What can be said of a mail by what it says, without anybody being asked: of the content when it is scheduled, and of a whole mail in the
 * preflight.
 */

const KIB = 1024;
// Gmail shows the first 102 KB of the HTML and cuts off the rest, the footer with the link first of all.
const CLIPPED_BYTES = 102 * KIB;
// SES takes 40 MB after encoding (SES Developer Guide, Service quotas); most other servers 10 to 25.
const LARGE_BYTES = 10 * KIB * KIB;
const LARGEST_BYTES = 40 * KIB * KIB;
// RFC 2045, 6.8: three bytes become four characters, in lines of 76 with CRLF behind each.
const ENCODED_SHARE = (4 / 3) * (78 / 76);
const INSECURE = /\b(?:href|src)\s*=\s*["']?(http:\/\/[^"'\s>]+)/gi;
const SHOWN_LINKS = 3;
const SHOWN_LENGTH = 100;

const textPart = finding('text-part', 'RFC 2046, 5.1.4');
const size = finding('size', 'SES Developer Guide, Service quotas: 40 MB after encoding');
const clipped = finding('html-size', 'Gmail Help: [Message clipped]');
const links = finding('links', 'RFC 9325, 3.2');

/** What is wrong with content, whoever it goes to; a template may still come to more than is seen here. */
export function contentFindings({ body, text }: Pick<Content, 'body' | 'text'>): readonly Finding[] {
  const bytes = Buffer.byteLength(body);
  return faulty([
    text === undefined ? textFindingOf(body.length <= MAX_HTML_LENGTH) : textFinding(text),
    sizeFinding(Math.ceil((bytes + Buffer.byteLength(text ?? '')) * ENCODED_SHARE)),
    clippedFinding(bytes),
    linkFinding(body, undefined),
  ]);
}

/** Of the text part of a mail. */
export function textFinding(text: string): Finding {
  return text.trim() === '' ? textPart('warn', 'The text part is empty.') : textFindingOf(isText(text));
}

function textFindingOf(isWhole: boolean): Finding {
  return isWhole
    ? textPart('pass', 'There is a text part.')
    : textPart(
        'warn',
        'The text part says only that the message is in HTML: there is no text in that, or too much. Give a text.',
      );
}

/** @param bytes of a mail as it goes out. */
export function sizeFinding(bytes: number): Finding {
  const told = `A mail has ${bytes} bytes as it goes out.`;
  if (bytes > LARGEST_BYTES) {
    return size('fail', `${told} At most ${LARGEST_BYTES} are taken.`);
  }
  return bytes > LARGE_BYTES ? size('warn', `${told} Many servers take 10 MB.`) : size('pass', told);
}

/** @param bytes of the HTML. */
export function clippedFinding(bytes: number): Finding {
  return bytes > CLIPPED_BYTES
    ? clipped(
        'warn',
        `The HTML has ${bytes} bytes; Gmail cuts off what is behind ${CLIPPED_BYTES}, and so the link to unsubscribe.`,
      )
    : clipped('pass', `The HTML has ${bytes} bytes.`);
}

/** @param ownBase what Belfry's own links begin with, which are no fault of the author. */
export function linkFinding(html: string, ownBase: string | undefined): Finding {
  const shown: string[] = [];
  let count = 0;
  for (const [, url = ''] of html.matchAll(INSECURE)) {
    if (ownBase !== undefined && url.startsWith(`${ownBase}/`)) {
      continue;
    }
    count += 1;
    if (shown.length < SHOWN_LINKS) {
      shown.push(url.slice(0, SHOWN_LENGTH).toWellFormed());
    }
  }
  return count > 0
    ? links('warn', `${count} links or images without TLS: ${shown.join(', ')}`)
    : links('pass', 'Every link and image uses TLS, or there is none.');
}
