import { ImportUnreadableError } from './import-job.ts';

const UTF8_BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const BOM_LENGTH = 4; // enough to tell: two bytes of a mark, or two characters of UTF-16 without one

/** Stands where bytes were no characters: here, or in whatever program wrote it into the file. */
export const REPLACEMENT = '\uFFFD';

/** What is wrong with a row that has it: it is never wanted, because it says that a character was lost. */
export const REPLACED =
  'bytes that are no characters, or U+FFFD, which stands where another program found such: the file must be UTF-8, or UTF-16, and made from what was right.';

type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be';

/**
 * The file as UTF-8 without a byte order mark, piece by piece. UTF-16 is known by its mark, or by the zero bytes that it has between
 * ASCII characters. What is no character becomes U+FFFD, by which a row is rejected, as one is that
 * has it in the file already.
 */
export async function* decodeText(file: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let head = Buffer.alloc(0);
  let decoder: TextDecoder | undefined;
  let isBegun = false;
  for await (const piece of file) {
    let bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    if (!isBegun) {
      head = Buffer.concat([head, bytes]);
      if (head.length < BOM_LENGTH) {
        continue;
      }
      decoder = decoderOf(head);
      bytes = withoutBom(head);
      isBegun = true;
    }
    yield decoder ? Buffer.from(decoder.decode(bytes, { stream: true })) : bytes;
  }
  if (!isBegun) {
    yield withoutBom(head);
    return;
  }
  if (decoder) {
    yield Buffer.from(decoder.decode());
  }
}

/** The first line of a piece of text, without its end. */
export function firstLine(text: string): string {
  return text.split(/\r\n|\n|\r/, 1)[0] ?? '';
}

function decoderOf(head: Buffer): TextDecoder | undefined {
  const encoding = encodingOf(head);
  return encoding === 'utf-8' ? undefined : new TextDecoder(encoding); // which leaves out the mark by itself
}

function encodingOf([first, second, third, fourth]: Buffer): Encoding {
  if (first === 0xff && second === 0xfe) {
    return 'utf-16le';
  }
  if (first === 0xfe && second === 0xff) {
    return 'utf-16be';
  }
  if (first === 0x50 && second === 0x4b && third === 0x03) {
    throw new ImportUnreadableError(
      'This is a ZIP archive, such as a spreadsheet (.xlsx). Save it as CSV and send that.',
    );
  }
  if (second === 0 && fourth === 0 && first !== 0) {
    return 'utf-16le';
  }
  return first === 0 && third === 0 && second !== 0 ? 'utf-16be' : 'utf-8';
}

function withoutBom(head: Buffer): Buffer {
  return head.subarray(0, UTF8_BOM.length).equals(UTF8_BOM) ? head.subarray(UTF8_BOM.length) : head;
}
