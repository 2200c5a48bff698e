import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Child } from '../support/child.ts';

type Environment = Readonly<Record<string, string>>;

const CREATE = fileURLToPath(new URL('../../dist/engines/aws/create.js', import.meta.url));

const AWS_VARIABLES = ['AWS_ENDPOINT_URL', 'AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'];

/** Settings for any number of processes on tables, a bucket and a queue of their own, made as an operator makes them: `npm run aws:create`. */
export async function openAwsGround(): Promise<Environment> {
  const prefix = `chaos-${randomBytes(4).toString('hex')}-`;
  const access = Object.fromEntries(AWS_VARIABLES.map((name) => [name, process.env[name] ?? '']));
  const creation = new Child({
    args: [CREATE],
    env: { ...access, TABLE_PREFIX: prefix, CONTENT_BUCKET: `${prefix}content` },
  });
  const { code } = await creation.exited;
  if (code !== 0) {
    throw new Error(`The tables could not be made:\n${creation.text}`);
  }
  const settings = creation.lines.flatMap((line) => {
    const [, name, value] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
    return name === undefined || value === undefined ? [] : [[name, value] as const];
  });
  return { ...access, ...Object.fromEntries(settings), SIGNING_SECRET: randomBytes(32).toString('hex') };
}
