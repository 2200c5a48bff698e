import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Template } from 'aws-cdk-lib/assertions';
import { newBelfryApp } from '../../infra/belfry-app.ts';
import type { BelfryStack } from '../../infra/belfry-stack.ts';
import { Rendered } from './rendered.ts';

type Context = Readonly<Record<string, string>>;

// An image that is there already: then nothing of this directory is hashed.
const IMAGE: Context = { image: 'belfry:1.4.0' };

export const CERTIFICATE = 'arn:aws:acm:eu-west-1:123456789012:certificate/0a1b2c3d-4e5f';

/** What an installation is told that is used. */
export const IN_USE: Context = {
  domain: 'belfry.example.com',
  certificate: CERTIFICATE,
  sender: 'example.com',
};

/** The stack with this context, as constructs; not synthesised. */
export function newStack(context: Context = {}): BelfryStack {
  return newBelfryApp({ outdir: newDirectory(), context: { ...IMAGE, ...context } }).stack;
}

/** The stack with this context, as CloudFormation would make it. */
export function synthesise(context: Context = {}): Rendered {
  return new Rendered(Template.fromStack(newStack(context)));
}

/** One that goes when the process does; not cdk.out, which belongs to whoever deploys just now. */
export function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'belfry-synth-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
