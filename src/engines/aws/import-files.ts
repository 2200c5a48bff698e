import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  NoSuchKey,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { ImportFileLostError } from '../../groups/imports/import-job.ts';
import type { WakingImport } from '../../groups/imports/import-store.ts';
import type { AwsClients } from './aws-clients.ts';
import type { AwsNames } from './aws-names.ts';
import { callAws } from './transact.ts';

const MIB = 1024 * 1024;
// All that is held of a file in memory. S3 wants parts of at least 5 MB (Amazon S3 User Guide, multipart upload limits).
const PART_BYTES = 8 * MIB;
// Read in pieces of their own: a connection that waits while rows are written would be taken for dead.
const READ_BYTES = 2 * MIB;
const CONTENT_TYPE = 'application/octet-stream';

/** The files of imports, in the bucket of the content; no group has a name that begins like their keys. */
export class ImportFiles {
  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
  ) {}

  /** Stores the file part by part and resolves with its size. Where it breaks off, nothing is left. */
  async put(of: WakingImport, file: AsyncIterable<Uint8Array>): Promise<number> {
    const parts = inParts(file);
    const first = await parts.next();
    const head = first.done === true ? Buffer.alloc(0) : first.value;
    if (head.length < PART_BYTES) {
      await callAws(() =>
        this.clients.s3.send(
          new PutObjectCommand({ ...this.#object(of), Body: head, ContentType: CONTENT_TYPE }),
        ),
      );
      return head.length;
    }
    return this.#putParts(of, head, parts);
  }

  /** The file of this size from its beginning. */
  open(of: WakingImport, fileBytes: number): Readable {
    return Readable.from(this.#pieces(of, fileBytes), { objectMode: false });
  }

  /** A second run does nothing. */
  async remove(of: WakingImport): Promise<void> {
    await callAws(() => this.clients.s3.send(new DeleteObjectCommand(this.#object(of))));
  }

  async #putParts(of: WakingImport, head: Buffer, rest: AsyncIterable<Buffer>): Promise<number> {
    const { UploadId: uploadId } = await callAws(() =>
      this.clients.s3.send(
        new CreateMultipartUploadCommand({ ...this.#object(of), ContentType: CONTENT_TYPE }),
      ),
    );
    if (uploadId === undefined) {
      throw new Error('S3 has begun an upload without an id.');
    }
    try {
      const tags = [await this.#putPart(of, uploadId, 1, head)];
      let bytes = head.length;
      for await (const part of rest) {
        tags.push(await this.#putPart(of, uploadId, tags.length + 1, part));
        bytes += part.length;
      }
      const command = new CompleteMultipartUploadCommand({
        ...this.#object(of),
        UploadId: uploadId,
        MultipartUpload: { Parts: tags.map((ETag, index) => ({ ETag, PartNumber: index + 1 })) },
      });
      await callAws(() => this.clients.s3.send(command));
      return bytes;
    } catch (error) {
      // Of a process that dies here, the bucket removes the parts after a day.
      const command = new AbortMultipartUploadCommand({ ...this.#object(of), UploadId: uploadId });
      await callAws(() => this.clients.s3.send(command));
      throw error;
    }
  }

  async #putPart(of: WakingImport, uploadId: string, number: number, part: Buffer): Promise<string> {
    const command = new UploadPartCommand({
      ...this.#object(of),
      UploadId: uploadId,
      PartNumber: number,
      Body: part,
      ContentLength: part.length,
    });
    const { ETag: tag } = await callAws(() => this.clients.s3.send(command));
    if (tag === undefined) {
      throw new Error('S3 has answered a part without its tag.');
    }
    return tag;
  }

  async *#pieces(of: WakingImport, fileBytes: number): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < fileBytes; start += READ_BYTES) {
      const end = Math.min(start + READ_BYTES, fileBytes) - 1;
      yield await callAws(() => this.#piece(of, `bytes=${start}-${end}`));
    }
  }

  async #piece(of: WakingImport, range: string): Promise<Uint8Array> {
    try {
      const command = new GetObjectCommand({ ...this.#object(of), Range: range });
      const { Body: body } = await this.clients.s3.send(command);
      if (!body) {
        throw new Error('S3 has answered an object without a body.');
      }
      return await body.transformToByteArray();
    } catch (error) {
      if (error instanceof NoSuchKey) {
        throw new ImportFileLostError({ cause: error });
      }
      throw error;
    }
  }

  #object({ group, key }: WakingImport): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.names.contentBucket, Key: `_imports/${group}/${key}` };
  }
}

/** All of the same size but the last. */
async function* inParts(file: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let part = Buffer.allocUnsafe(PART_BYTES);
  let filled = 0;
  for await (const piece of file) {
    for (let taken = 0; taken < piece.length;) {
      const some = piece.subarray(taken, taken + PART_BYTES - filled);
      part.set(some, filled);
      filled += some.length;
      taken += some.length;
      if (filled === PART_BYTES) {
        yield part;
        part = Buffer.allocUnsafe(PART_BYTES); // the SDK may send the other one once more
        filled = 0;
      }
    }
  }
  if (filled > 0) {
    yield part.subarray(0, filled);
  }
}
