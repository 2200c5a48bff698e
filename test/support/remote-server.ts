import type { Asked } from './belfry-api.ts';
import type { Answer, Request } from './server-process.ts';
import { until } from './until.ts';

const REQUEST_LIMIT_MS = 30_000;

/**
 * A Belfry that somebody else started, reached over HTTP with a key.
 * Node runs this file as it stands for the demo, the benchmarks and the chaos suite: no parameter properties.
 */
export class RemoteServer implements Asked {
  readonly url: string;
  readonly #key: string | undefined;

  constructor(url: string, key: string | undefined) {
    this.url = url;
    this.#key = key;
  }

  /** Rejects only where there is no answer, or not all of it. */
  async request(method: string, path: string, { body, headers = {} }: Request = {}): Promise<Answer> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(this.#key !== undefined && { authorization: `Bearer ${this.#key}` }),
        ...headers,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /\bjson\b/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  }

  async untilReady(limitMs: number): Promise<void> {
    await until(`${this.url} is ready`, limitMs, async () => {
      try {
        return (await this.request('GET', '/health/ready')).status === 200 || undefined;
      } catch {
        return undefined; // nobody listens yet
      }
    });
  }
}
