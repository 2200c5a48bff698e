import { joined, type MergedPart } from '../schedule/compiled-content.ts';

/*
 * The parts of a mail in their encoding. Base64 may have its line ends anywhere (RFC 2045, 6.8: lines of at most 76 characters, whose ends
 * a reader passes over), so a long literal is encoded once for all mails, and its lines are put between those that differ. Base64 takes
 * three bytes at a time, so there are up to three encodings of a literal: by how many of its bytes complete what stands before it.
 */

// RFC 2045, 6.8.
const LINE_LENGTH = 76;
// What a line holds.
const LINE_BYTES = 57;
const GROUP_BYTES = 3;
// Shorter ones are encoded as quickly as they are put together.
const KEPT_MIN_BYTES = 8 * LINE_BYTES;

// RFC 5322, 2.1.1: a line must not have more characters.
const TOO_LONG_LINE_PATTERN = /[^\n]{999}/;
const PLAIN_TEXT_PATTERN = /^[\t\r\n\x20-\x7e]*$/;
// Relays that keep mails in mbox files change it, and break a signature with that.
const FROM_LINE_PATTERN = /^From /m;

/** By the identity of literals, which are the same for all mails of a message; absent where a part of them may not need an encoding. */
const encoders = new WeakMap<readonly string[], Base64Encoder | undefined>();

/**
 * A part as it is, where every relay passes that on unchanged; otherwise in base64. In pieces of ASCII: put together, the long ones would
 * be copied once more for each mail.
 */
export function encodedPart(type: string, part: MergedPart, boundary: string): readonly string[] {
  const encoder = encoderOf(part);
  if (encoder) {
    return [headOf(type, 'base64'), ...encoder.encode(part.values)];
  }
  const content = withMailLines(joined(part)) || '\r\n'; // some readers take an empty part for none
  const isPlain =
    PLAIN_TEXT_PATTERN.test(content) &&
    !TOO_LONG_LINE_PATTERN.test(content) &&
    !FROM_LINE_PATTERN.test(content) &&
    !content.includes(boundary);
  return isPlain
    ? [headOf(type, '7bit'), content]
    : [headOf(type, 'base64'), base64Lines(Buffer.from(content))];
}

/** Text with the line ends that mail has. RFC 2046, 4.1.1: lines end with CRLF, before they are encoded too; neither half of it stands alone. */
export function withMailLines(text: string): string {
  return text.replaceAll(/\r\n?|\n/g, '\r\n');
}

function headOf(type: string, encoding: string): string {
  return `Content-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n`;
}

function encoderOf({ literals, values }: MergedPart): Base64Encoder | undefined {
  if (!encoders.has(literals)) {
    const isEncoded = literals.some((literal) => !PLAIN_TEXT_PATTERN.test(literal));
    encoders.set(literals, isEncoded ? new Base64Encoder(literals) : undefined);
  }
  // The CR at the end of one piece and the LF at the beginning of the next are one line end.
  return literals.some(endsOpen) || values.some(endsOpen) ? undefined : encoders.get(literals);
}

function endsOpen(piece: string): boolean {
  return piece.endsWith('\r');
}

/** A long literal: lines that are encoded already, and what is left of it before and behind them. */
interface Kept {
  readonly before: Buffer;
  readonly lines: string;
  readonly behind: Buffer;
}

class Base64Encoder {
  readonly #literals: readonly Buffer[];
  /** Of each literal, by how many of its bytes stand before the lines. */
  readonly #kept: readonly (Kept | undefined)[][];

  constructor(literals: readonly string[]) {
    this.#literals = literals.map((literal) => Buffer.from(withMailLines(literal)));
    this.#kept = literals.map(() => []);
  }

  encode(values: readonly string[]): readonly string[] {
    const pieces: string[] = [];
    let open: Buffer[] = [];
    let openBytes = 0;
    const add = (bytes: Buffer): void => {
      open.push(bytes);
      openBytes += bytes.length;
    };
    for (const [index, literal] of this.#literals.entries()) {
      if (literal.length < KEPT_MIN_BYTES) {
        add(literal);
      } else {
        const { before, lines: kept, behind } = this.#keep(index, literal, openBytes);
        add(before);
        pieces.push(base64Lines(Buffer.concat(open)), openBytes > 0 ? '\r\n' : '', kept);
        open = [];
        openBytes = 0;
        add(behind);
      }
      const value = values[index];
      if (value !== undefined) {
        add(Buffer.from(withMailLines(value)));
      }
    }
    return [...pieces, base64Lines(Buffer.concat(open))];
  }

  #keep(index: number, literal: Buffer, openBytes: number): Kept {
    const start = (GROUP_BYTES - (openBytes % GROUP_BYTES)) % GROUP_BYTES;
    const kept = this.#kept[index] ?? [];
    kept[start] ??= keptFrom(literal, start);
    return kept[start];
  }
}

function keptFrom(literal: Buffer, start: number): Kept {
  const end = literal.length - ((literal.length - start) % LINE_BYTES);
  return {
    before: literal.subarray(0, start),
    lines: `${base64Lines(literal.subarray(start, end))}\r\n`,
    behind: literal.subarray(end),
  };
}

function base64Lines(bytes: Buffer): string {
  const base64 = bytes.toString('base64');
  let lines = base64.slice(0, LINE_LENGTH);
  for (let begin = LINE_LENGTH; begin < base64.length; begin += LINE_LENGTH) {
    lines += `\r\n${base64.slice(begin, begin + LINE_LENGTH)}`;
  }
  return lines;
}
