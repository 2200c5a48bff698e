const LINE_END = 0x0a;
const QUOTE = '"';
const LONE_RETURN = /\r(?!\n)/;
// Of characters. Nobody's line is so long, and what it holds is kept until it ends.
const LINE_MAX_LENGTH = 32 * 1024;

/** Takes the cells of a record, and the line in which it is. */
export type AddCells = (cells: readonly string[], line: number) => void;

/**
 * Reads CSV for as long as there is nothing to it: lines that end in LF or CR LF, without quotation marks and without space around their
 * cells. Many a file of addresses is like that to its end, and this takes a fraction of the time of csv-parse, which is given all from the
 * first line that is not.
 */
export class PlainLines {
  /** How many were read. */
  count = 0;
  #held: Buffer = Buffer.alloc(0);

  constructor(private readonly delimiter: string) {}

  /** What is from the first line on that is not plain: nothing was read of it. Absent where all are so far. */
  read(piece: Buffer, add: AddCells): Buffer | undefined {
    const bytes = this.#held.length === 0 ? piece : Buffer.concat([this.#held, piece]);
    const end = bytes.lastIndexOf(LINE_END) + 1;
    this.#held = bytes.subarray(end);
    const text = bytes.toString('utf8', 0, end);
    if (LONE_RETURN.test(text) || this.#held.length > LINE_MAX_LENGTH) {
      return bytes;
    }
    for (let start = 0; start < text.length;) {
      const next = text.indexOf('\n', start) + 1;
      const line = text.slice(start, text[next - 2] === '\r' && next - 2 >= start ? next - 2 : next - 1);
      const cells = line === '' ? [] : this.#cellsOf(line);
      if (!cells) {
        return Buffer.concat([Buffer.from(text.slice(start)), this.#held]);
      }
      this.count += 1;
      if (line !== '') {
        add(cells, this.count);
      }
      start = next;
    }
    return undefined;
  }

  /** The last line, where nothing ends it. */
  get rest(): Buffer {
    return this.#held;
  }

  #cellsOf(line: string): readonly string[] | undefined {
    if (line.length > LINE_MAX_LENGTH || line.includes(QUOTE)) {
      return undefined;
    }
    const cells = line.split(this.delimiter);
    return cells.some(hasSpaceAround) ? undefined : cells;
  }
}

function hasSpaceAround(cell: string): boolean {
  return cell.length !== cell.trim().length;
}
