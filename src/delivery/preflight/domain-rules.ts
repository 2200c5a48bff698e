import { type Finding, finding } from '../../schedule/finding.ts';
import type { DomainRecords, Records } from './domain-records.ts';

const spf = finding('spf', 'RFC 7208, 4.5');
const dkim = finding('dkim', 'RFC 6376, 3.6.2');
const dmarc = finding('dmarc', 'RFC 9989, 4.10; Google Email sender guidelines');
const domainRule = finding('from-domain', 'RFC 5321, 2.3.5');

// RFC 9989, 4.10: so many labels are left of a longer name after the first question, which makes eight questions at most.
const LABELS_WALKED = 7;
const SHOWN_LENGTH = 200;

/** What DNS has of the policy of one domain. */
interface PolicyAnswer {
  readonly domain: string;
  readonly records: Records;
  /** The one record of DMARC; receivers take none where there are several. */
  readonly policy: string | undefined;
}

/** What DNS says of the domain that mail is from. `selector`: under which the DKIM key stands, where that is known. */
export async function domainFindings(
  records: DomainRecords,
  domain: string,
  selector: string | undefined,
): Promise<readonly Finding[]> {
  if (!domain.includes('.')) {
    return [domainRule('fail', `Mail from ${domain} arrives nowhere else: it is no domain of the Internet.`)];
  }
  const [ofDomain, ofKey, policies] = await Promise.all([
    records.texts(domain),
    selector === undefined ? undefined : records.texts(`${selector}._domainkey.${domain}`),
    readPolicies(records, domain),
  ]);
  return [spfFinding(ofDomain, domain), dkimFinding(ofKey, domain, selector), dmarcFinding(policies, domain)];
}

function spfFinding(records: Records, domain: string): Finding {
  if (records.kind === 'unknown') {
    return spf('warn', `DNS did not answer for ${domain} (${records.reason}).`);
  }
  const policies = withTag(records, /^v=spf1(?: |$)/i);
  if (policies.length > 1) {
    return spf(
      'fail',
      `${domain} has ${policies.length} SPF records; receivers take none where there are several.`,
    );
  }
  const [policy] = policies;
  if (policy === undefined) {
    return spf('fail', `${domain} has no SPF record.`);
  }
  return /(?:^| )\+?all(?: |$)/i.test(policy)
    ? spf('warn', `The SPF record of ${domain} lets anybody send: ${brief(policy)}`)
    : spf('pass', `${domain} has an SPF record: ${brief(policy)}`);
}

function dkimFinding(records: Records | undefined, domain: string, selector: string | undefined): Finding {
  if (!records || selector === undefined) {
    return dkim('warn', 'Whether mail is signed cannot be seen: DKIM_SELECTOR is not set.');
  }
  const name = `${selector}._domainkey.${domain}`;
  if (records.kind === 'unknown') {
    return dkim('warn', `DNS did not answer for ${name} (${records.reason}).`);
  }
  const [key] = withTag(records, /(?:^|;)\s*p\s*=/i);
  if (key === undefined) {
    return dkim('fail', `There is no key at ${name}.`);
  }
  return /(?:^|;)\s*p\s*=\s*(?:;|$)/i.test(key)
    ? dkim('fail', `The key at ${name} is revoked.`)
    : dkim('pass', `There is a key at ${name}.`);
}

/** Of the domain itself first, then of those above it. */
async function readPolicies(
  records: DomainRecords,
  domain: string,
): Promise<readonly [PolicyAnswer, ...PolicyAnswer[]]> {
  const read = async (name: string): Promise<PolicyAnswer> => {
    const found = await records.texts(`_dmarc.${name}`);
    const policies = withTag(found, /^v\s*=\s*DMARC1\s*(?:;|$)/);
    return { domain: name, records: found, policy: policies.length === 1 ? policies[0] : undefined };
  };
  const [own, ...above] = await Promise.all([read(domain), ...walkedFrom(domain).map(read)]);
  return [own, ...above];
}

/** The domains above, up to the top: RFC 9989, 4.10. */
function walkedFrom(domain: string): readonly string[] {
  const labels = domain.split('.');
  const above = labels.slice(Math.max(1, labels.length - LABELS_WALKED));
  return above.map((_label, index) => above.slice(index).join('.'));
}

/** A domain without a policy of its own has that of its organization, which a walk up the tree finds. */
function dmarcFinding([own, ...above]: readonly [PolicyAnswer, ...PolicyAnswer[]], domain: string): Finding {
  const ofOrganization = own.policy === undefined ? organizational(above) : undefined;
  const found = own.policy === undefined ? ofOrganization : own;
  const silent = [own, ...above].find(({ records }) => records.kind === 'unknown');
  if (found?.policy === undefined) {
    return silent?.records.kind === 'unknown'
      ? dmarc('warn', `DNS did not answer for _dmarc.${silent.domain} (${silent.records.reason}).`)
      : dmarc('fail', `${domain} has no DMARC record; Gmail and Yahoo want one of whoever sends in bulk.`);
  }
  const told = `${found === own ? domain : `${domain}, by ${found.domain},`} has a DMARC`;
  return /;\s*p\s*=\s*(?:none|quarantine|reject)/i.test(found.policy)
    ? dmarc('pass', `${told} policy: ${brief(found.policy)}`)
    : dmarc('warn', `${told} record that names no policy, which not everybody takes: ${brief(found.policy)}`);
}

/** RFC 9989, 4.10.1 and 4.10.2: that which says so itself, else that below a public suffix, else the highest. */
function organizational(above: readonly PolicyAnswer[]): PolicyAnswer | undefined {
  const end = above.findIndex(({ policy = '' }) => /;\s*psd\s*=\s*[yn]/i.test(policy));
  const ending = above[end];
  if (!ending) {
    return above.findLast(({ policy }) => policy !== undefined);
  }
  const below = above[end - 1];
  const isSuffix = /;\s*psd\s*=\s*y/i.test(ending.policy ?? '');
  return isSuffix && below?.policy !== undefined ? below : ending; // below a suffix, its policy holds for whoever has none
}

function withTag(records: Records, tag: RegExp): readonly string[] {
  return records.kind === 'found' ? records.texts.filter((text) => tag.test(text)) : [];
}

function brief(text: string): string {
  return text.slice(0, SHOWN_LENGTH).toWellFormed();
}
