import {
  BucketAlreadyOwnedByYou,
  BucketLocationConstraint,
  CreateBucketCommand,
  GetPublicAccessBlockCommand,
  HeadBucketCommand,
  type PublicAccessBlockConfiguration,
  PutPublicAccessBlockCommand,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import type { Inspection, Part } from './create-infrastructure.ts';

// The region that has no name of its own in CreateBucket:
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
const DEFAULT_REGION = 'us-east-1';

const NOBODY_FROM_OUTSIDE = {
  BlockPublicAcls: true,
  IgnorePublicAcls: true,
  BlockPublicPolicy: true,
  RestrictPublicBuckets: true,
} satisfies PublicAccessBlockConfiguration;

/** The bucket of the content, closed to the public. */
export class ContentBucketPart implements Part {
  readonly name: string;

  constructor(
    private readonly s3: S3Client,
    private readonly bucket: string,
  ) {
    this.name = `bucket ${bucket}`;
  }

  async inspect(): Promise<Inspection> {
    const status = await this.#head();
    switch (status) {
      case 200:
        return { kind: 'present', differences: await this.#openings() };
      case 404:
        return { kind: 'missing' };
      case 403:
        return { kind: 'present', differences: ['it is not open to these credentials, or is not yours'] };
      default:
        return { kind: 'present', differences: [`it answers ${status}: it may be in another region`] };
    }
  }

  async make(): Promise<void> {
    if ((await this.#head()) === 200) {
      return;
    }
    await this.#create();
    await this.s3.send(
      new PutPublicAccessBlockCommand({
        Bucket: this.bucket,
        PublicAccessBlockConfiguration: NOBODY_FROM_OUTSIDE,
      }),
    );
  }

  /** The status of a HEAD: an answer without a body has no error name to go by. */
  async #head(): Promise<number> {
    try {
      await this.s3.send(new HeadBucketCommand({ Bucket: this.bucket }));
      return 200;
    } catch (error) {
      const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
      if (status === undefined || status >= 500) {
        throw error;
      }
      return status;
    }
  }

  async #create(): Promise<void> {
    const region = await this.s3.config.region();
    const location = Object.values(BucketLocationConstraint).find((known) => known === region);
    try {
      await this.s3.send(
        new CreateBucketCommand({
          Bucket: this.bucket,
          ...(region !== DEFAULT_REGION &&
            location !== undefined && { CreateBucketConfiguration: { LocationConstraint: location } }),
        }),
      );
    } catch (error) {
      // Made meanwhile: by another run, or by a first try whose answer was lost.
      if (!(error instanceof BucketAlreadyOwnedByYou)) {
        throw error;
      }
    }
  }

  /** In what it is open to the public. A bucket with a public site in it must not be closed by this, so it is only told. */
  async #openings(): Promise<readonly string[]> {
    const found = await this.#findBlock();
    const blocks = [
      'BlockPublicAcls',
      'IgnorePublicAcls',
      'BlockPublicPolicy',
      'RestrictPublicBuckets',
    ] as const;
    return blocks.flatMap((block) =>
      found[block] === true ? [] : [`its public access block has ${block} off`],
    );
  }

  async #findBlock(): Promise<PublicAccessBlockConfiguration> {
    try {
      const { PublicAccessBlockConfiguration: found } = await this.s3.send(
        new GetPublicAccessBlockCommand({ Bucket: this.bucket }),
      );
      return found ?? {};
    } catch (error) {
      if (error instanceof Error && error.name === 'NoSuchPublicAccessBlockConfiguration') {
        return {};
      }
      throw error;
    }
  }
}
