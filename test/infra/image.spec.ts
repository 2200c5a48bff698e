import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { newBelfryApp } from '../../infra/belfry-app.ts';
import { at, isObject, parseObject } from '../support/json.ts';
import { newDirectory } from './synthesise.ts';

describe('the image, where a deployment names none', () => {
  let directory: string;

  beforeAll(() => {
    directory = newDirectory();
    newBelfryApp({ outdir: directory }).app.synth();
  });

  it('is built from the Dockerfile for ARM64, and synthesising only hashes what goes into it', () => {
    const images = at(
      parseObject(readFileSync(join(directory, 'Belfry.assets.json'), 'utf8')),
      'dockerImages',
    );
    const [image, ...others] = isObject(images) ? Object.values(images) : [];
    const source = String(at(image, 'source', 'directory'));

    expect(others).toEqual([]);
    expect(at(image, 'source', 'platform')).toBe('linux/arm64');
    expect(readdirSync(join(directory, source))).toEqual([
      '.dockerignore',
      '.npmrc',
      'Dockerfile',
      'package-lock.json',
      'package.json',
      'rolldown.config.ts',
      'src',
      'tsconfig.json',
    ]);
  });

  it('is what both services run', () => {
    const { Resources: resources } = parseObject(
      readFileSync(join(directory, 'Belfry.template.json'), 'utf8'),
    );

    const tasks = Object.values(isObject(resources) ? resources : {}).filter(
      (resource) => at(resource, 'Type') === 'AWS::ECS::TaskDefinition',
    );

    const [api, worker] = tasks.map((task) =>
      at(task, 'Properties', 'ContainerDefinitions', 0, 'Image', 'Fn::Sub'),
    );
    expect(api).toMatch(/container-assets-\$\{AWS::AccountId\}-\$\{AWS::Region\}:[0-9a-f]{64}$/);
    expect(worker).toBe(api);
  });
});
