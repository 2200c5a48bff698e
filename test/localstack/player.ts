import { Showing, type ShownAnswer } from '../support/shown-answer.ts';
import type { TestApp } from '../support/test-app.ts';
import type { Request } from './story.ts';

/** Plays requests to one engine. */
export class Player {
  readonly #app: TestApp;
  readonly #showing = new Showing();
  readonly #remembered = new Map<string, string>();

  constructor(app: TestApp) {
    this.#app = app;
  }

  /** Its answer, as it can be compared with that of another engine. */
  async play(request: Request, now: Temporal.Instant): Promise<ShownAnswer> {
    const { method, body, bodyAt, headers, remember } = request;
    const answer = await this.#app.request(method, this.#fill(request.path), {
      body: bodyAt ? bodyAt(now) : body,
      ...(headers && { headers }),
    });
    const text = answer.body['key'] ?? answer.body['next_cursor'];
    if (remember !== undefined && typeof text === 'string') {
      this.#remembered.set(remember, text);
    }
    return this.#showing.show(answer);
  }

  /** The status of the message, or the state of the import, at this path. */
  async statusOf(path: string): Promise<unknown> {
    const { body } = await this.#app.request('GET', this.#fill(path));
    return body['status'] ?? body['state'];
  }

  async close(): Promise<void> {
    await this.#app.close();
  }

  #fill(path: string): string {
    return path.replaceAll(/\{([^}]+)\}/g, (_match, name: string) => {
      const text = this.#remembered.get(name);
      if (text === undefined) {
        throw new Error(`Nothing is remembered as '${name}'.`);
      }
      return text;
    });
  }
}
