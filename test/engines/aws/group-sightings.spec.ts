import { describe, expect, it } from 'vitest';
import { GroupSightings } from '../../../src/engines/aws/group-sightings.ts';
import { aGroupName } from '../../support/builders.ts';

const GROUP = aGroupName();
const LONG_AGO_MS = 60_000;

describe('GroupSightings', () => {
  it('knows nothing of a group that was not seen', () => {
    const sightings = new GroupSightings();
    sightings.note(aGroupName('other'), performance.now() + LONG_AGO_MS);

    expect(sightings.isFresh(GROUP)).toBe(false);
  });

  it('goes by the read that was begun last, and not for long', () => {
    const sightings = new GroupSightings();

    sightings.note(GROUP, performance.now() - LONG_AGO_MS);
    const before = sightings.isFresh(GROUP);
    sightings.note(GROUP, performance.now() + LONG_AGO_MS); // however slow this machine is
    const after = sightings.isFresh(GROUP);

    expect({ before, after }).toEqual({ before: false, after: true });
  });
});
