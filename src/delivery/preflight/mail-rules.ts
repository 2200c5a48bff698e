import type { GroupKind } from '../../groups/mailing-settings.ts';
import type { Mail } from '../channels/channel.ts';
import { clippedFinding, linkFinding, sizeFinding, textFinding } from '../../schedule/content-rules.ts';
import { type Finding, finding } from '../../schedule/finding.ts';

const unsubscribe = finding('unsubscribe', 'RFC 8058, 3; Google Email sender guidelines');
const listId = finding('list-id', 'RFC 2919, 2');
const postal = finding('postal-address', '15 U.S.C. 7704(a)(5)(A)(iii) (CAN-SPAM)');

/** What decides about every mail of a group, whatever it says. */
export interface MailingFacts {
  readonly kind: GroupKind;
  readonly postalAddress: string | undefined;
  /** What the links in mails begin with. */
  readonly linkBase: string;
}

/** What a mail of the message, as it would go out, shows of itself. */
export function mailFindings(mail: Mail, facts: MailingFacts): readonly Finding[] {
  return [
    ...mailingFindings(facts),
    ...(facts.kind === 'bulk' ? [listIdFinding(mail)] : []),
    textFinding(mail.text),
    sizeFinding(mail.compose().length),
    clippedFinding(Buffer.byteLength(mail.html)),
    linkFinding(mail.html, facts.linkBase),
  ];
}

/** What can be said of it before there is a mail: whether its readers can leave, and learn who writes. */
export function mailingFindings({ kind, postalAddress, linkBase }: MailingFacts): readonly Finding[] {
  if (kind === 'transactional') {
    return [
      unsubscribe(
        'warn',
        'The group is transactional: nobody can unsubscribe from this mail. Of bulk mail, it would be blocked.',
      ),
    ];
  }
  return [
    linkBase.startsWith('https://')
      ? unsubscribe('pass', 'The mail can be unsubscribed from with one click.')
      : unsubscribe(
          'fail',
          `The links to unsubscribe begin with ${linkBase}: mail providers offer no button for them, and others cannot open them. Set PUBLIC_URL to an address with https.`,
        ),
    postalAddress === undefined
      ? postal(
          'warn',
          'The group has no postal address, which the law of many countries wants in bulk mail: PUT …/groups/{group}.',
        )
      : postal('pass', 'The postal address of the group is in the footer, or where the content puts it.'),
  ];
}

/** Every bulk mail has those headers, or there is a defect. */
function listIdFinding(mail: Mail): Finding {
  const header = (name: string): string | undefined =>
    mail.headers.find((candidate) => candidate.name === name)?.value;
  const id = header('List-Id');
  return id === undefined ||
    header('List-Unsubscribe') === undefined ||
    header('List-Unsubscribe-Post') === undefined
    ? listId('fail', 'The mail has no List-Id, or nothing to unsubscribe with.')
    : listId('pass', `List-Id: ${id}`);
}
