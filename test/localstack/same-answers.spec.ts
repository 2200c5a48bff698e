import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plusMs } from '../../src/platform/clock/clock.ts';
import { ENGINES } from '../../src/platform/config/settings.ts';
import { assertNever } from '../../src/platform/errors/assert-never.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { OpenApiDocument, type Operation } from '../support/openapi-document.ts';
import type { ShownAnswer } from '../support/shown-answer.ts';
import { startTestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';
import { badRequests, WORLD_OF_BAD_REQUESTS } from './bad-requests.ts';
import { Player } from './player.ts';
import {
  COMMON_STORY,
  nameOf,
  type Request,
  type Step,
  STORY_BEGINS_AT,
  STORY_FEEDBACK_SECRET,
  storyOf,
} from './story.ts';

/* Requests that are made of both engines at once, under one clock: status, headers and body of the answers must be the same. */

const PATIENCE_MS = 30_000;

/** Operations whose answers must differ. */
const NOT_ALIKE = [
  'GET /metrics', // how long the store took, and for what
];

const STORIES: readonly (readonly [title: string, steps: readonly Step[]])[] = [
  ['what is not of one group', COMMON_STORY],
  ['one group under /v1/groups/{group}', storyOf('club', '/v1/groups/club')],
  ["one group under the sample's /{group}", storyOf('shop', '/shop')],
];

/** Where the links of an answer lead, and what signs them. */
const LINKS = {
  PUBLIC_URL: 'https://belfry.example.com',
  SIGNING_SECRET: 'a-secret-that-both-engines-share-here',
};

const clock = new ManualClock(STORY_BEGINS_AT);
let players: readonly Player[] = [];
let operations: readonly Operation[] = [];
/** What was answered, by the name of the operation. */
const statuses = new Map<string, Set<number>>();

beforeAll(async () => {
  const env = { ...LINKS, FEEDBACK_SECRET: STORY_FEEDBACK_SECRET };
  const apps = await Promise.all(ENGINES.map((engine) => startTestApp({ engine, clock, env })));
  players = apps.map((app) => new Player(app));
  const [document] = await Promise.all(apps.map((app) => app.request('GET', '/openapi.json')));
  operations = new OpenApiDocument(document?.body ?? {}).operations
    .filter(({ name }) => !NOT_ALIKE.includes(name))
    // As the router does: a name comes before a parameter.
    .toSorted((one, other) => parametersIn(one) - parametersIn(other));
});
afterAll(async () => {
  await Promise.all(players.map((player) => player.close()));
});

describe.each(STORIES)('both engines answer alike, of %s:', (_title, steps) => {
  it.each(steps.map((step) => [nameOf(step), step] as const))('%s', async (_name, step) => {
    const [answer, ...others] = await take(step);

    expect(others).toEqual(answer ? [answer] : []);
  });
});

describe('both engines refuse alike', () => {
  it('whatever may be wrong with the path, the query, the headers or the body of any operation', async () => {
    const requests = [...WORLD_OF_BAD_REQUESTS, ...operations.flatMap(badRequests)];

    const differing: unknown[] = [];
    for (const request of requests) {
      const [answer, ...others] = await playToAll(request);
      if (others.some((other) => JSON.stringify(other) !== JSON.stringify(answer))) {
        differing.push([nameOf(request), answer, ...others]);
      }
    }

    expect(differing).toEqual([]);
  });
});

describe('among these requests', () => {
  it('every operation of the document whose answers can be alike is done, and is refused', () => {
    const isDone = ({ name }: Operation): boolean => has(name, (status) => status < 300);
    const isRefused = ({ name }: Operation): boolean => has(name, (status) => status >= 400);

    const neverDone = operations.filter((operation) => !isDone(operation));
    const neverRefused = operations.filter((operation) => !isRefused(operation));

    expect(neverDone.map(({ name }) => name)).toEqual([]);
    expect(neverRefused.map(({ name }) => name)).toEqual(['GET /health/live', 'GET /health/ready']);
  });
});

/** The answers of all, where the step has any. */
async function take(step: Step): Promise<readonly ShownAnswer[]> {
  switch (step.kind) {
    case 'request':
      return playToAll(step);
    case 'time-passes':
      clock.set(plusMs(clock.now(), step.ms)); // at one stroke: what happens every minute need not happen a thousand times
      return [];
    case 'until':
      await Promise.all(players.map((player) => untilStatus(player, step.path, step.status)));
      return [];
    default:
      return assertNever(step);
  }
}

async function playToAll(request: Request): Promise<readonly ShownAnswer[]> {
  const now = clock.now();
  const answers = await Promise.all(players.map((player) => player.play(request, now)));
  const operation = operationOf(request);
  if (operation) {
    const known = statuses.get(operation.name) ?? new Set();
    statuses.set(operation.name, new Set([...known, ...answers.map(({ status }) => status)]));
  }
  return answers;
}

function operationOf({ method, path }: Request): Operation | undefined {
  const [pathname = ''] = path.split('?');
  return operations.find(
    (operation) =>
      operation.method === method &&
      new RegExp(`^${operation.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(pathname),
  );
}

function parametersIn({ path }: Operation): number {
  return path.split('{').length - 1;
}

function has(operation: string, isSuch: (status: number) => boolean): boolean {
  return [...(statuses.get(operation) ?? [])].some(isSuch);
}

async function untilStatus(player: Player, path: string, status: string): Promise<void> {
  await until(`${path} is ${status}`, PATIENCE_MS, async () =>
    (await player.statusOf(path)) === status ? status : undefined,
  );
}
