import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ImportFileLostError,
  type ImportJob,
  isImportKey,
  newImportKey,
} from '../../src/groups/imports/import-job.ts';
import { checkRow } from '../../src/groups/imports/import-row.ts';
import type { ImportClaim } from '../../src/groups/imports/import-store.ts';
import type { PlannedRow } from '../../src/groups/imports/merge-rows.ts';
import { DAY_MS, MINUTE_MS, plusMs } from '../../src/platform/clock/clock.ts';
import { addresses, aGroupName, aKey, aNewcomer, anInstant, groupSettings } from '../support/builders.ts';
import type { Engine, OpenEngine } from './engine.ts';

const GROUP = aGroupName();
const LATER = plusMs(anInstant(), DAY_MS);
// Larger than one part of an upload to S3.
const LARGE_BYTES = 9 * 1024 * 1024;

function aClaim(token = 'first', now = anInstant()): ImportClaim {
  return { token, now, until: plusMs(now, MINUTE_MS) };
}

function planned(email: string, fields: Readonly<Record<string, unknown>> = {}): PlannedRow {
  const read = checkRow({ email, ...fields }, 1);
  if (read.kind === 'rejected') {
    throw new Error(`The row of ${email} is not valid.`);
  }
  return { row: read.row, isDuplicate: false };
}

async function* pieces(...given: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const piece of given) {
    yield Buffer.from(piece);
  }
}

export function describeImportStore(openEngine: OpenEngine): void {
  describe('ImportStore', () => {
    let engine: Engine;

    beforeEach(async () => {
      engine = await openEngine();
    });
    afterEach(async () => {
      await engine.close();
    });

    async function receive({ dryRun = false, file = ['email\n'] } = {}): Promise<ImportJob> {
      const plan = {
        key: newImportKey(),
        group: GROUP,
        format: 'csv',
        dryRun,
        askToConfirm: dryRun,
        at: anInstant(),
      } as const;
      return engine.imports.receive(plan, pieces(...file), LATER);
    }

    async function claimed(options = {}): Promise<ImportJob> {
      const job = await receive(options);
      const claim = await engine.imports.claim(GROUP, job.key, aClaim());
      if (!claim) {
        throw new Error('Nobody else has it.');
      }
      return claim;
    }

    /** In the order of the file. */
    async function results(job: ImportJob): Promise<string> {
      const found: string[] = [];
      for await (const { letters, positions } of engine.imports.readResults(job)) {
        for (const [index, position] of positions.entries()) {
          found[position] = letters[index] ?? '';
        }
      }
      return Array.from(found, (letter) => letter ?? '-').join('');
    }

    it('keeps a file and gives it back, whatever its pieces', async () => {
      const job = await receive({ file: ['ema', '', 'il\n', 'ada@example.com'] });

      expect(job).toMatchObject({
        state: 'queued',
        askToConfirm: false,
        fileBytes: 21,
        readBytes: 0,
        wakeAt: anInstant(),
      });
      expect(await text(engine.imports.openFile(job))).toBe('email\nada@example.com');
      expect(await engine.imports.find(GROUP, job.key)).toEqual(job);
    });

    it('says of a file that it is lost, which no other error means', async () => {
      const job = await receive({ dryRun: true, file: ['email\n'] });
      await engine.imports.remove({ group: GROUP, key: job.key });

      expect(job.askToConfirm).toBe(true);
      await expect(text(engine.imports.openFile(job))).rejects.toThrow(ImportFileLostError);
    });

    it('keeps a file that is larger than a part, and one that is empty', async () => {
      const piece = `${'x'.repeat(1_023)}\n`.repeat(1_024);
      const large = await receive({ file: Array.from({ length: LARGE_BYTES / piece.length }, () => piece) });
      const empty = await receive({ file: [] });

      expect(large.fileBytes).toBe(LARGE_BYTES);
      expect((await text(engine.imports.openFile(large))).length).toBe(LARGE_BYTES);
      expect(await text(engine.imports.openFile(empty))).toBe('');
    });

    it('leaves nothing of a file that breaks off', async () => {
      const plan = {
        key: newImportKey(),
        group: GROUP,
        format: 'csv',
        dryRun: false,
        askToConfirm: true,
        at: anInstant(),
      } as const;
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield Buffer.from('email\n');
        throw new Error('gone');
      }

      await expect(engine.imports.receive(plan, broken(), LATER)).rejects.toThrow('gone');

      expect(await engine.imports.find(GROUP, plan.key)).toBeUndefined();
      expect(await engine.imports.findWaking(LATER, 10)).toEqual([]);
    });

    it('finds what wakes, and lets one have it until the claim lapses', async () => {
      const job = await receive();

      expect(await engine.imports.findWaking(anInstant(), 10)).toEqual([{ group: GROUP, key: job.key }]);
      expect(await engine.imports.claim(GROUP, job.key, aClaim())).toMatchObject({
        state: 'working',
        startedAt: anInstant(),
      });
      expect(await engine.imports.claim(GROUP, job.key, aClaim('second'))).toBeUndefined();
      expect(await engine.imports.findWaking(anInstant(), 10)).toEqual([]);
      const later = plusMs(anInstant(), MINUTE_MS);
      expect(await engine.imports.claim(GROUP, job.key, aClaim('second', later))).toMatchObject({
        startedAt: anInstant(),
      });
      expect(
        await engine.imports.apply(job, aClaim('first', later), { rows: [], after: 0, readBytes: 0 }),
      ).toBeUndefined();
    });

    it('merges a chunk with its results, its counts and how far it has got, once', async () => {
      await engine.subscribers.add(GROUP, [aNewcomer('b@example.com', { name: 'B' })], anInstant());
      expect(await engine.subscribers.countZones(GROUP)).toEqual([{ timeZone: undefined, count: 1 }]);
      const job = await claimed();
      const rows: readonly PlannedRow[] = [
        planned('a@example.com', { name: 'A', attributes: { x: 1 }, time_zone: 'Asia/Tokyo' }),
        planned('b@example.com', { name: 'Bee' }),
        { row: undefined, isDuplicate: false },
        { ...planned('a@example.com', { attributes: { y: 2 } }), isDuplicate: true },
        planned('b@example.com', { name: 'Bee' }),
      ];

      const after = await engine.imports.apply(job, aClaim(), { rows, after: 0, readBytes: 5 });
      const again = await engine.imports.apply(job, aClaim(), { rows, after: 0, readBytes: 5 });

      expect(again).toBeUndefined();
      expect(after).toMatchObject({
        readBytes: 5,
        counts: { read: 5, created: 1, updated: 2, unchanged: 1, rejected: 1, duplicates: 1 },
        wakeAt: aClaim().until,
      });
      expect(await engine.imports.find(GROUP, job.key)).toEqual(after);
      expect(await results(job)).toBe('CURuN');
      expect(await engine.subscribers.find(GROUP, aKey('a@example.com'))).toMatchObject({
        name: 'A',
        attributes: { x: 1, y: 2 },
        joinedAt: anInstant(),
        version: 1,
      });
      expect(await engine.subscribers.find(GROUP, aKey('b@example.com'))).toMatchObject({
        name: 'Bee',
        version: 2,
      });
      expect((await engine.groups.find(GROUP))?.counts).toMatchObject({ active: 2 });
      expect(new Set(await engine.subscribers.countZones(GROUP))).toEqual(
        new Set([
          { timeZone: 'asia/tokyo', count: 1 },
          { timeZone: undefined, count: 1 },
        ]),
      );
    });

    it('takes as many rows at one stroke as it says', async () => {
      const job = await claimed();
      const count = Math.min(engine.imports.chunkRows, 500);
      const rows = addresses(count).map((email) => planned(email));

      const after = await engine.imports.apply(job, aClaim(), { rows, after: 0, readBytes: 1 });

      expect(after?.counts).toMatchObject({ read: count, created: count });
      expect((await engine.groups.find(GROUP))?.counts.active).toBe(count);
    });

    it('keeps what became of rows that come in another order than that of the file', async () => {
      const job = await claimed();
      const apply = async (after: number, ...positions: readonly number[]): Promise<unknown> =>
        engine.imports.apply(job, aClaim(), {
          rows: positions.map((position) =>
            position === 70_000
              ? { row: undefined, isDuplicate: false }
              : planned(`a${position}@example.com`),
          ),
          positions,
          after,
          readBytes: 1,
        });

      await apply(0, 70_000, 2);
      await apply(2, 0, 3);

      const letters = await results(job);
      expect(letters.slice(0, 5)).toBe('C-CC-');
      expect(letters.length).toBe(70_001);
      expect(letters.at(-1)).toBe('R');
    });

    it('counts what changes status, and writes to nobody who must not be written to', async () => {
      await engine.subscribers.add(
        GROUP,
        [aNewcomer('a@example.com'), aNewcomer('b@example.com')],
        anInstant(),
      );
      await engine.subscribers.change(GROUP, aKey('b@example.com'), { status: 'unsubscribed' }, 1);
      const job = await claimed();
      const rows = [
        planned('a@example.com', { status: 'complained' }),
        planned('b@example.com', { status: 'active', name: 'Back' }),
        planned('c@example.com', { status: 'unsubscribed' }),
      ];

      await engine.imports.apply(job, aClaim(), { rows, after: 0, readBytes: 1 });

      expect(await results(job)).toBe('UKC');
      expect((await engine.groups.find(GROUP))?.counts).toMatchObject({
        active: 0,
        complained: 1,
        unsubscribed: 2,
      });
      expect(await engine.subscribers.find(GROUP, aKey('b@example.com'))).toMatchObject({
        status: 'unsubscribed',
        name: undefined,
      });
    });

    it('counts the zones of whoever is new, or gets another one', async () => {
      await engine.subscribers.add(GROUP, [aNewcomer('a@example.com')], anInstant());
      await engine.subscribers.countZones(GROUP); // from then on they are counted as they change
      const job = await claimed();
      const rows = [
        planned('a@example.com', { time_zone: 'Europe/Paris' }),
        planned('b@example.com', { time_zone: 'Europe/Paris' }),
        planned('c@example.com', { status: 'bounced' }),
      ];

      await engine.imports.apply(job, aClaim(), { rows, after: 0, readBytes: 1 });

      const zones = (await engine.subscribers.countZones(GROUP)).filter(({ count }) => count > 0);
      expect(zones.map(({ timeZone, count }) => `${timeZone?.toLowerCase()} ${count}`)).toEqual([
        'europe/paris 2',
      ]);
    });

    it('records what it means for whoever is new or has another status, and for nobody else', async () => {
      await engine.subscribers.add(
        GROUP,
        [aNewcomer('a@example.com'), aNewcomer('b@example.com')],
        anInstant(),
      );
      const job = await claimed();
      const rows = [
        planned('a@example.com', { name: 'A' }),
        planned('b@example.com', { status: 'bounced' }),
        planned('c@example.com'),
      ];

      await engine.imports.apply(job, aClaim(), { rows, after: 0, readBytes: 1 });

      const recorded = async (email: string): Promise<unknown> =>
        (await engine.consents.find(GROUP, aKey(email)))?.entries.map(({ what, how }) => `${what} ${how}`);
      expect(await recorded('a@example.com')).toEqual(['subscribed api']);
      expect(await recorded('b@example.com')).toEqual(['subscribed api', 'bounced import']);
      expect(await recorded('c@example.com')).toEqual(['subscribed import']);
    });

    it('goes on with the record of whoever was in the group before', async () => {
      await engine.subscribers.add(GROUP, [aNewcomer('a@example.com')], anInstant());
      await engine.subscribers.remove(GROUP, aKey('a@example.com'), 1);
      const job = await claimed();

      await engine.imports.apply(job, aClaim(), { rows: [planned('a@example.com')], after: 0, readBytes: 1 });

      const record = await engine.consents.find(GROUP, aKey('a@example.com'));
      expect(record?.entries.map(({ what, how }) => `${what} ${how}`)).toEqual([
        'subscribed api',
        'subscribed import',
      ]);
    });

    it('makes nobody active in a group in which everybody has to confirm', async () => {
      await engine.groups.put(GROUP, groupSettings({ optIn: 'double' }));
      const job = await claimed();
      const rows = [planned('a@example.com'), planned('b@example.com', { status: 'active' })];

      await engine.imports.apply(job, aClaim(), { rows, after: 0, readBytes: 1 });

      expect((await engine.groups.find(GROUP))?.counts).toMatchObject({ active: 0, pending: 2 });
    });

    it('only counts in a dry run', async () => {
      const job = await claimed({ dryRun: true });

      await engine.imports.apply(job, aClaim(), { rows: [planned('a@example.com')], after: 0, readBytes: 1 });

      expect(await results(job)).toBe('C');
      expect(await engine.groups.find(GROUP)).toBeUndefined();
    });

    it('ends, for whoever has it only', async () => {
      const job = await claimed({ file: ['email\n'] });
      const end = { state: 'done', reason: undefined, at: anInstant(), wakeAt: LATER } as const;

      await engine.imports.end(job, 'somebody else', end);
      expect((await engine.imports.find(GROUP, job.key))?.state).toBe('working');
      await engine.imports.end(job, 'first', end);

      expect(await engine.imports.find(GROUP, job.key)).toMatchObject({
        state: 'done',
        endedAt: anInstant(),
        readBytes: 6,
        wakeAt: LATER,
      });
      expect(await engine.imports.claim(GROUP, job.key, aClaim('second', LATER))).toBeUndefined();
    });

    it('is given back, so that the next goes on at once', async () => {
      const job = await claimed();

      await engine.imports.release(job, 'first', anInstant());

      expect(await engine.imports.claim(GROUP, job.key, aClaim('second'))).toBeDefined();
    });

    it('is cancelled under the hands of whoever works it', async () => {
      const job = await claimed();

      const cancelled = await engine.imports.cancel(GROUP, job.key, anInstant(), LATER);

      expect(cancelled).toMatchObject({ state: 'cancelled', endedAt: anInstant(), wakeAt: LATER });
      const chunk = { rows: [planned('a@example.com')], after: 0, readBytes: 1 };
      expect(await engine.imports.apply(job, aClaim(), chunk)).toBeUndefined();
      expect(await engine.imports.cancel(GROUP, job.key, LATER, LATER)).toEqual(cancelled);
    });

    it('lists those of a group, the newest first, and forgets what is removed', async () => {
      const keys = [];
      for (let count = 0; count < 3; count += 1) {
        keys.unshift((await receive()).key);
      }

      const first = await engine.imports.list(GROUP, { before: undefined, limit: 2 });
      const rest = await engine.imports.list(GROUP, { before: first.at(-1)?.key, limit: 2 });

      const listed = [...first, ...rest].map(({ key }) => key);
      expect(listed.toSorted().toReversed()).toEqual(listed);
      expect(listed.filter(isImportKey).toSorted()).toEqual(keys.toSorted());
      expect(await engine.imports.list(aGroupName('other'), { before: undefined, limit: 2 })).toEqual([]);
      for (const key of listed) {
        await engine.imports.remove({ group: GROUP, key });
        await engine.imports.remove({ group: GROUP, key });
      }
      expect(await engine.imports.list(GROUP, { before: undefined, limit: 2 })).toEqual([]);
    });
  });
}
