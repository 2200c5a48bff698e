import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { RowSorter } from '../../src/groups/imports/row-sorter.ts';
import { addresses, aKey, anEmail } from '../support/builders.ts';

it('loses no row where the system writes less than it is given', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'belfry-sorter-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const emails = addresses(100);
  await using sorter = await RowSorter.open(folder);
  for (const [position, email] of emails.toReversed().entries()) {
    const row = { email: anEmail(email), key: aKey(email), name: null, attributes: null, timeZone: null };
    await sorter.add({ row: { ...row, status: undefined }, position, isDuplicate: false });
  }
  await cutNextWrite(join(folder, 'any'));

  const sorted = (await Array.fromAsync(sorter.sorted())).flat();

  expect(sorted.map(({ row }) => row?.key)).toEqual(emails.map((email) => aKey(email)));
});

/** The next write to any file takes a kilobyte and leaves the rest, as on a disk that is nearly full. */
async function cutNextWrite(path: string): Promise<void> {
  await using file = await open(path, 'w');
  const prototype = Reflect.getPrototypeOf(file) ?? {};
  const write: unknown = Reflect.get(prototype, 'write');
  const restore = (): boolean => Reflect.set(prototype, 'write', write);
  onTestFinished(() => void restore());
  Reflect.set(
    prototype,
    'write',
    function (this: object, ...[bytes, offset, , position]: unknown[]): unknown {
      restore();
      const written: unknown =
        typeof write === 'function' && Reflect.apply(write, this, [bytes, offset, 1_024, position]);
      return written;
    },
  );
}
