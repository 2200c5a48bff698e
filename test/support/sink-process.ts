import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Child } from './child.ts';
import { numberAt, parseObject, textAt } from './json.ts';
import type { Behaviour, Received } from './smtp-sink.ts';

const SINK = fileURLToPath(new URL('./smtp-sink.ts', import.meta.url));

const START_LIMIT_MS = 20_000;

export interface SinkPlan {
  /** Where it writes what it takes, one JSON document a line. */
  readonly record: string;
  readonly behaviours?: readonly Behaviour[];
  /** As SinkOptions has them. */
  readonly tls?: 'implicit' | 'starttls';
  readonly auth?: { readonly user: string; readonly pass: string };
}

/** The SMTP sink as a process of its own: it sees what a mail server sees, and survives the server that is killed. */
export class SinkProcess implements AsyncDisposable {
  readonly #child: Child;
  readonly #record: string;
  readonly #port: number;

  static async start({ record, behaviours = [], tls, auth }: SinkPlan): Promise<SinkProcess> {
    const child = new Child({
      args: [
        SINK,
        '--record',
        record,
        '--behaviours',
        JSON.stringify(behaviours),
        ...(tls ? ['--tls', tls] : []),
        ...(auth ? ['--user', auth.user, '--pass', auth.pass] : []),
      ],
    });
    try {
      const port = await child.untilLine('The sink starts', START_LIMIT_MS, (line) =>
        line.startsWith('{') ? numberAt(parseObject(line), 'port') : undefined,
      );
      return new SinkProcess(child, record, port);
    } catch (error) {
      await child.kill();
      throw error;
    }
  }

  private constructor(child: Child, record: string, port: number) {
    this.#child = child;
    this.#record = record;
    this.#port = port;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** For SMTP_URL. */
  get url(): string {
    return `smtp://127.0.0.1:${this.#port}`;
  }

  /** What it has taken so far, in order. */
  async *taken(): AsyncGenerator<Received> {
    for await (const line of createInterface({ input: createReadStream(this.#record) })) {
      const mail = parseObject(line);
      yield {
        recipient: textAt(mail, 'recipient'),
        from: textAt(mail, 'from'),
        messageId: textAt(mail, 'messageId'),
        beganAtMs: numberAt(mail, 'beganAtMs'),
        atMs: numberAt(mail, 'atMs'),
        isAnswered: mail['isAnswered'] === true,
        bytes: numberAt(mail, 'bytes'),
      };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.kill();
  }
}

/** The message that a mail is of: its Message-ID is `<message key.hash@domain>`. */
export function messageKeyOf({ messageId }: Pick<Received, 'messageId'>): string {
  const [, key] = /^<([0-9a-f-]{36})\./.exec(messageId) ?? [];
  if (key === undefined) {
    throw new Error(`This Message-ID names no message: ${messageId}`);
  }
  return key;
}
