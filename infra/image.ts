import { Aws } from 'aws-cdk-lib';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import { DockerImageAsset, Platform } from 'aws-cdk-lib/aws-ecr-assets';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import { resolve } from 'node:path';
import type { ImageName } from './deployment.ts';

const ROOT = resolve(import.meta.dirname, '..');

/** The one image of both services. */
export class Image extends Construct {
  readonly container: ContainerImage;
  readonly repositoryArn: string;

  /**
   * Without a name it is built from the Dockerfile at the root of this directory, by `cdk deploy`; synthesising only hashes what .dockerignore
   * lets in.
   */
  constructor(scope: Construct, id: string, name: ImageName | undefined) {
    super(scope, id);
    if (name) {
      const repository = Repository.fromRepositoryAttributes(this, 'repository', {
        repositoryName: name.repository,
        repositoryArn: `arn:${Aws.PARTITION}:ecr:${Aws.REGION}:${Aws.ACCOUNT_ID}:repository/${name.repository}`,
      });
      this.container = ContainerImage.fromEcrRepository(repository, name.tagOrDigest);
      this.repositoryArn = repository.repositoryArn;
    } else {
      const asset = new DockerImageAsset(this, 'asset', {
        directory: ROOT,
        platform: Platform.LINUX_ARM64,
      });
      this.container = ContainerImage.fromDockerImageAsset(asset);
      this.repositoryArn = asset.repository.repositoryArn;
    }
  }
}
