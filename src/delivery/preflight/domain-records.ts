import { Resolver } from 'node:dns/promises';
import { SECOND_MS } from '../../platform/clock/clock.ts';

// A resolver that is asked a second time after as long; a request waits for three lookups side by side.
const TIMEOUT_MS = 2 * SECOND_MS;
const TRIES = 2;
// What DNS answers where there is no such record: https://nodejs.org/api/dns.html#error-codes
const NOTHING = new Set(['ENODATA', 'ENOTFOUND']);

/** `unknown` where DNS gave no answer: nothing is known then of whether there is a record. */
export type Records =
  | { readonly kind: 'found'; readonly texts: readonly string[] }
  | { readonly kind: 'none' }
  | { readonly kind: 'unknown'; readonly reason: string };

/** What domains say of their mail, in DNS. */
export class DomainRecords {
  readonly #resolver: Resolver;

  /** @param servers to ask instead of those of the machine; `address:port`. */
  constructor(servers: readonly string[] = []) {
    this.#resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
    if (servers.length > 0) {
      this.#resolver.setServers(servers);
    }
  }

  /** The TXT records of a name, each put together from its parts (RFC 7208, 3.3). Never rejects. */
  async texts(name: string): Promise<Records> {
    try {
      const records = await this.#resolver.resolveTxt(name);
      return { kind: 'found', texts: records.map((parts) => parts.join('')) };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'an unknown error';
      return NOTHING.has(code) ? { kind: 'none' } : { kind: 'unknown', reason: code };
    }
  }
}
