import type { DomainRecords, Records } from './domain-records.ts';
import { type Finding, finding } from './finding.ts';

const spf = finding('spf', 'RFC 7208, 4.5');
const dkim = finding('dkim', 'RFC 6376, 3.6.2');
const dmarc = finding('dmarc', 'RFC 7489, 6.6.3; Google Email sender guidelines');
const domainRule = finding('from-domain', 'RFC 5321, 2.3.5');

/** What DNS says of the domain that mail is from. `selector`: under which the DKIM key stands, where that is known. */
export async function domainFindings(
  records: DomainRecords,
  domain: string,
  selector: string | undefined,
): Promise<readonly Finding[]> {
  if (!domain.includes('.')) {
    return [domainRule('fail', `Mail from ${domain} arrives nowhere else: it is no domain of the Internet.`)];
  }
  const parent = parentOf(domain);
  const [ofDomain, ofKey, ofPolicy, ofParentPolicy] = await Promise.all([
    records.texts(domain),
    selector === undefined ? undefined : records.texts(`${selector}._domainkey.${domain}`),
    records.texts(`_dmarc.${domain}`),
    parent === undefined ? undefined : records.texts(`_dmarc.${parent}`),
  ]);
  return [
    spfFinding(ofDomain, domain),
    dkimFinding(ofKey, domain, selector),
    dmarcFinding(ofPolicy, ofParentPolicy, domain),
  ];
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
    ? spf('warn', `The SPF record of ${domain} lets anybody send: ${policy}`)
    : spf('pass', `${domain} has an SPF record: ${policy}`);
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

/** A domain without a policy of its own has that of the domain above it, down to which nobody looks but once. */
function dmarcFinding(own: Records, ofParent: Records | undefined, domain: string): Finding {
  if (own.kind === 'unknown') {
    return dmarc('warn', `DNS did not answer for _dmarc.${domain} (${own.reason}).`);
  }
  const [policy] = [
    ...withTag(own, /^v=DMARC1\s*(?:;|$)/i),
    ...(ofParent ? withTag(ofParent, /^v=DMARC1\s*(?:;|$)/i) : []),
  ];
  if (policy === undefined) {
    return dmarc('fail', `${domain} has no DMARC record; Gmail and Yahoo want one of whoever sends in bulk.`);
  }
  return /;\s*p\s*=\s*(?:none|quarantine|reject)/i.test(policy)
    ? dmarc('pass', `${domain} has a DMARC policy: ${policy}`)
    : dmarc('fail', `The DMARC record of ${domain} has no policy: ${policy}`);
}

function withTag(records: Records, tag: RegExp): readonly string[] {
  return records.kind === 'found' ? records.texts.filter((text) => tag.test(text)) : [];
}

/** The domain above, where that has a dot in it itself. */
function parentOf(domain: string): string | undefined {
  const parent = domain.slice(domain.indexOf('.') + 1);
  return parent.includes('.') ? parent : undefined;
}
