import type { WriteStream } from 'node:tty';

const WIDTH = 40;
// How often a plain line is written where there is no terminal: at every quarter.
const PLAIN_STEPS = 4;

/** Drawn over and over on a terminal; a few plain lines otherwise. */
export class ProgressBar {
  readonly #stream: WriteStream;
  readonly #total: number;
  readonly #unit: string;
  #last = '';

  /** @param unit of what is counted; said on a terminal, where the numbers stand. */
  constructor(stream: WriteStream, total: number, unit = '') {
    this.#stream = stream;
    this.#total = total;
    this.#unit = unit === '' ? '' : ` ${unit}`;
  }

  show(count: number, note: string): void {
    const share = Math.min(1, count / this.#total);
    if (this.#stream.isTTY) {
      const filled = Math.round(share * WIDTH);
      const bar = '█'.repeat(filled) + '░'.repeat(WIDTH - filled);
      this.#write(`\r  ${bar} ${count}/${this.#total}${this.#unit} ${note}\u001b[K`);
      return;
    }
    const [status = ''] = note.split(',', 1);
    const step = Math.floor(share * PLAIN_STEPS);
    this.#write(`  ${status}, ${(step / PLAIN_STEPS) * 100} %\n`);
  }

  end(): void {
    if (this.#stream.isTTY) {
      this.#stream.write('\n\n');
    }
  }

  #write(text: string): void {
    if (text !== this.#last) {
      this.#last = text;
      this.#stream.write(text);
    }
  }
}
