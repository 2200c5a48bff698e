import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Child } from './child.ts';
import { numberAt, parseObject, textAt } from './json.ts';
import type { SesBehaviour } from './ses-stand-in.ts';
import type { Received } from './smtp-sink.ts';

const STAND_IN = fileURLToPath(new URL('./ses-stand-in.ts', import.meta.url));

const START_LIMIT_MS = 20_000;

export interface SesPlan {
  /** Where it writes what it takes, one JSON document a line. */
  readonly record: string;
  readonly behaviours?: readonly SesBehaviour[];
  /** Mails per second; without limit where absent. */
  readonly rate?: number;
}

/** What a server needs to send through what stands in for SES on that port. */
export function sesEnv(port: number): Readonly<Record<string, string>> {
  return {
    MAIL: 'ses',
    AWS_ENDPOINT_URL_SESV2: `http://127.0.0.1:${port}`,
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  };
}

/** The stand-in for SES as a process of its own: it sees what SES would see, and survives the server that is killed. */
export class SesProcess implements AsyncDisposable {
  readonly #child: Child;
  readonly #record: string;
  readonly #port: number;

  static async start({ record, behaviours = [], rate }: SesPlan): Promise<SesProcess> {
    const child = new Child({
      args: [
        STAND_IN,
        '--record',
        record,
        '--behaviours',
        JSON.stringify(behaviours),
        ...(rate === undefined ? [] : ['--rate', String(rate)]),
      ],
    });
    try {
      const port = await child.untilLine('The stand-in starts', START_LIMIT_MS, (line) =>
        line.startsWith('{') ? numberAt(parseObject(line), 'port') : undefined,
      );
      return new SesProcess(child, record, port);
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

  get env(): Readonly<Record<string, string>> {
    return sesEnv(this.#port);
  }

  /** What it has taken so far, in order. SES gives mails a Message-ID of its own, so the one that is told here is made of the tags. */
  async *taken(): AsyncGenerator<Received> {
    for await (const line of createInterface({ input: createReadStream(this.#record) })) {
      const mail = parseObject(line);
      yield {
        recipient: textAt(mail, 'recipient'),
        from: textAt(mail, 'from'),
        messageId: `<${textAt(mail, 'tags', 'message_key')}.${textAt(mail, 'messageId')}@ses>`,
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
