import { afterEach, describe, expect, it } from 'vitest';
import { DomainRecords } from '../../src/delivery/preflight/domain-records.ts';
import { domainFindings } from '../../src/delivery/preflight/domain-rules.ts';
import type { Finding } from '../../src/schedule/finding.ts';
import { DnsServer, type Zone } from '../support/dns-server.ts';

describe('the DMARC policy of a domain', () => {
  let dns: DnsServer | undefined;
  afterEach(async () => {
    await dns?.[Symbol.asyncDispose]();
  });

  async function dmarcOf(domain: string, zone: Zone): Promise<Finding | undefined> {
    dns = await DnsServer.start(zone);
    const findings = await domainFindings(new DomainRecords([dns.address]), domain, undefined);
    return findings.find(({ rule }) => rule === 'dmarc');
  }

  it.each<[string, string, Zone, string]>([
    [
      'its own',
      'a.b.test',
      { '_dmarc.a.b.test': ['v=DMARC1; p=none'], '_dmarc.b.test': ['v=DMARC1; p=reject'] },
      'a.b.test has a',
    ],
    [
      'that of the highest domain that has one',
      'a.b.c.test',
      { '_dmarc.b.c.test': ['v=DMARC1;p=none'], '_dmarc.c.test': ['v=DMARC1;p=none'] },
      'a.b.c.test, by c.test,',
    ],
    [
      'that of a domain that says it is the organization',
      'a.b.c.test',
      { '_dmarc.b.c.test': ['v=DMARC1; p=none; psd=n'], '_dmarc.c.test': ['v=DMARC1; p=none'] },
      'a.b.c.test, by b.c.test,',
    ],
    [
      'that below a public suffix',
      'a.b.c.test',
      {
        '_dmarc.b.c.test': ['v=DMARC1; p=none'],
        '_dmarc.c.test': ['v=DMARC1; p=none; psd=y'],
        '_dmarc.test': ['v=DMARC1; p=none'],
      },
      'a.b.c.test, by b.c.test,',
    ],
    [
      'that of the suffix, where the organization has none',
      'a.b.c.test',
      { '_dmarc.c.test': ['v=DMARC1; p=none; psd=y'] },
      'a.b.c.test, by c.test,',
    ],
    [
      'none of several of one domain',
      'a.test',
      { '_dmarc.a.test': ['v=DMARC1; p=none', 'v=DMARC1; p=reject'], '_dmarc.test': ['v=DMARC1; p=none'] },
      'a.test, by test,',
    ],
  ])('is %s', async (_what, domain, zone, told) => {
    const found = await dmarcOf(domain, zone);

    expect(found).toMatchObject({ result: 'pass' });
    expect(found?.detail).toMatch(new RegExp(`^${told}`));
  });

  it('is asked for eight times at most, of the domain and of the last seven labels', async () => {
    const found = await dmarcOf('a.b.c.d.e.f.g.h.i.test', {
      '_dmarc.b.c.d.e.f.g.h.i.test': ['v=DMARC1; p=none'],
    });

    expect(found).toMatchObject({ result: 'fail' });
    expect(dns?.asked.filter((name) => name.startsWith('_dmarc')).toSorted()).toEqual(
      [
        'a.b.c.d.e.f.g.h.i.test',
        'd.e.f.g.h.i.test',
        'e.f.g.h.i.test',
        'f.g.h.i.test',
        'g.h.i.test',
        'h.i.test',
        'i.test',
        'test',
      ]
        .map((name) => `_dmarc.${name}`)
        .toSorted(),
    );
  });

  it('is not known where DNS does not answer for a domain above that may have one', async () => {
    expect(await dmarcOf('a.b.test', { '_dmarc.b.test': 'failing' })).toMatchObject({
      result: 'warn',
      detail: 'DNS did not answer for _dmarc.b.test (ESERVFAIL).',
    });
  });
});
