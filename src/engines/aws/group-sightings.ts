import { setTimeout as pause } from 'node:timers/promises';
import type { GroupName } from '../../groups/group.ts';

/*
 * A removal of a group must not miss a message that is being stored. Whoever stores one need not look at the group again if that took no
 * longer than a moment, because a removal waits for twice a moment between its mark and its look for messages:
 *
 *   storing     reads the group, no mark ──────────── the record is there     at most SIGHTING_MS
 *   removing              └─ marks the group ──────────────────┴──── looks    at least REMOVAL_PAUSE_MS
 *
 * The mark comes after the read that has not seen it, so the look comes after the record. Only spans are compared, of one process each:
 * no two clocks need show the same. Whoever took longer reads the group once more, and takes away a mark that has come meanwhile.
 */

/** Longer than nearly every message takes from the read of its group to its record. */
const SIGHTING_MS = 100;

/** Twice as long, so that clocks need not run at the same rate. */
const REMOVAL_PAUSE_MS = 2 * SIGHTING_MS;

// More than are stored for in a moment; without those that are forgotten, their groups are only read once more.
const MOST_GROUPS = 10_000;

/** When this process last saw groups that nobody was removing. */
export class GroupSightings {
  readonly #askedAtMs = new Map<GroupName, number>();

  /** @param askedAtMs of `performance.now()`, before the read was begun that has found the group without a mark. */
  note(name: GroupName, askedAtMs: number): void {
    if (this.#askedAtMs.size >= MOST_GROUPS) {
      this.#askedAtMs.clear();
    }
    this.#askedAtMs.set(name, askedAtMs);
  }

  /** Whether what was stored for the group by now is seen by every removal that was not seen. */
  isFresh(name: GroupName): boolean {
    return performance.now() - (this.#askedAtMs.get(name) ?? Number.NEGATIVE_INFINITY) < SIGHTING_MS;
  }
}

/** What a removal does between its mark and its look. */
export async function pauseForSightings(): Promise<void> {
  await pause(REMOVAL_PAUSE_MS);
}
