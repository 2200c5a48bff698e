import type { GroupKind } from '../../groups/mailing-settings.ts';
import type { Mail } from '../channels/channel.ts';
import { type Finding, finding } from './finding.ts';

const KIB = 1024;
// Gmail shows the first 102 KB of the HTML and cuts off the rest, the footer with the link first of all.
const CLIPPED_BYTES = 102 * KIB;
// SES takes 40 MB after encoding (SES Developer Guide, Service quotas); most other servers 10 to 25.
const LARGE_BYTES = 10 * KIB * KIB;
const LARGEST_BYTES = 40 * KIB * KIB;
const INSECURE = /\b(?:href|src)\s*=\s*["']?(http:\/\/[^"'\s>]+)/gi;
const SHOWN_LINKS = 3;

const unsubscribe = finding('unsubscribe', 'RFC 8058, 3; Google Email sender guidelines');
const listId = finding('list-id', 'RFC 2919, 2');
const postal = finding('postal-address', '15 U.S.C. 7704(a)(5)(A)(iii) (CAN-SPAM)');
const textPart = finding('text-part', 'RFC 2046, 5.1.4');
const size = finding('size', 'SES Developer Guide, Service quotas: 40 MB after encoding');
const clipped = finding('html-size', 'Gmail Help: [Message clipped]');
const links = finding('links', 'RFC 9325, 3.2');

/** What a mail of the message, as it would go out, shows of itself. */
export function mailFindings(
  mail: Mail,
  of: {
    readonly kind: GroupKind;
    readonly postalAddress: string | undefined;
    readonly publicUrl: string | undefined;
  },
): readonly Finding[] {
  return [
    ...(of.kind === 'bulk' ? bulkFindings(mail, of.postalAddress, of.publicUrl) : [transactionalFinding()]),
    mail.text.trim() === ''
      ? textPart('warn', 'The text part is empty.')
      : textPart('pass', 'There is a text part.'),
    sizeFinding(mail.compose().length),
    clippedFinding(Buffer.byteLength(mail.html)),
    linkFinding(mail.html),
  ];
}

function bulkFindings(
  mail: Mail,
  postalAddress: string | undefined,
  publicUrl: string | undefined,
): readonly Finding[] {
  const header = (name: string): string | undefined =>
    mail.headers.find((candidate) => candidate.name === name)?.value;
  return [
    unsubscribeFinding(header('List-Unsubscribe'), header('List-Unsubscribe-Post'), publicUrl),
    header('List-Id') === undefined
      ? listId('fail', 'The mail has no List-Id.')
      : listId('pass', `List-Id: ${header('List-Id')}`),
    postalAddress === undefined
      ? postal(
          'warn',
          'The group has no postal address, which the law of many countries wants in bulk mail: PUT …/groups/{group}.',
        )
      : postal('pass', 'The postal address of the group is in the footer, or where the content puts it.'),
  ];
}

function unsubscribeFinding(
  header: string | undefined,
  post: string | undefined,
  publicUrl: string | undefined,
): Finding {
  if (header === undefined || post === undefined) {
    return unsubscribe('fail', 'The mail cannot be unsubscribed from with one click.');
  }
  return publicUrl?.startsWith('https://') === true
    ? unsubscribe('pass', 'The mail can be unsubscribed from with one click.')
    : unsubscribe(
        'fail',
        'The link to unsubscribe cannot be reached by others: set PUBLIC_URL to an address with https.',
      );
}

function transactionalFinding(): Finding {
  return unsubscribe(
    'warn',
    'The group is transactional: nobody can unsubscribe from this mail. Of bulk mail, it would be blocked.',
  );
}

function sizeFinding(bytes: number): Finding {
  const told = `A mail has ${bytes} bytes as it goes out.`;
  if (bytes > LARGEST_BYTES) {
    return size('fail', `${told} At most ${LARGEST_BYTES} are taken.`);
  }
  return size(
    bytes > LARGE_BYTES ? 'warn' : 'pass',
    bytes > LARGE_BYTES ? `${told} Many servers take 10 MB.` : told,
  );
}

function clippedFinding(bytes: number): Finding {
  return bytes > CLIPPED_BYTES
    ? clipped(
        'warn',
        `The HTML has ${bytes} bytes; Gmail cuts off what is behind ${CLIPPED_BYTES}, and so the link to unsubscribe.`,
      )
    : clipped('pass', `The HTML has ${bytes} bytes.`);
}

function linkFinding(html: string): Finding {
  const found = [...html.matchAll(INSECURE)].map(([, url = '']) => url);
  return found.length > 0
    ? links('warn', `${found.length} links or images without TLS: ${found.slice(0, SHOWN_LINKS).join(', ')}`)
    : links('pass', 'Every link and image uses TLS, or there is none.');
}
