import type { Channel, SenderStanding } from '../channels/channel.ts';
import { type Finding, finding } from '../../schedule/finding.ts';

const identityRule = finding('ses-identity', 'SES Developer Guide, Verified identities');
const dkimRule = finding('dkim', 'SES Developer Guide, Easy DKIM');
const accountRule = finding('ses-account', 'SES Developer Guide, Request production access');

/** What the provider lets the account send from this address; nothing where there is nobody to ask. Never rejects. */
export async function providerFindings(channel: Channel, address: string): Promise<readonly Finding[]> {
  if (!channel.readSender) {
    return [];
  }
  try {
    const standing = await channel.readSender(address);
    return [
      identityFinding(standing, address),
      ...signatureFindings(standing, address),
      accountFinding(standing),
    ];
  } catch (error) {
    const why = error instanceof Error ? error.name : String(error);
    return [accountRule('warn', `SES did not say what the account may send (${why}).`)];
  }
}

function identityFinding({ identity }: SenderStanding, address: string): Finding {
  switch (identity) {
    case 'verified':
      return identityRule('pass', `SES knows ${address}, or its domain, as verified.`);
    case 'not-verified':
      return identityRule(
        'fail',
        `SES takes no mail from ${address}: neither it nor its domain is verified.`,
      );
    default:
      return identityRule('warn', `SES did not say whether ${address}, or its domain, is verified.`);
  }
}

/** Nothing where SES does not say: the key may be looked for in DNS. */
function signatureFindings({ isSigned }: SenderStanding, address: string): readonly Finding[] {
  if (isSigned === undefined) {
    return [];
  }
  return isSigned
    ? [dkimRule('pass', `SES signs mail from ${address}.`)]
    : [dkimRule('fail', `SES does not sign mail from ${address}: set up Easy DKIM for its domain.`)];
}

function accountFinding({ isEnabled, isSandbox }: SenderStanding): Finding {
  if (!isEnabled) {
    return accountRule('fail', 'SES has stopped the account from sending.');
  }
  return isSandbox
    ? accountRule('fail', 'The account is in the sandbox of SES: only verified addresses are sent to.')
    : accountRule('pass', 'The account may send to everybody.');
}
