import type { GroupName } from '../groups/group.ts';
import type { SealedContent } from './content.ts';
import type { SeriesKey } from './occurrence.ts';
import type { Series } from './series.ts';

/** In order of key, which is that in which they were added. */
export interface SeriesPage {
  readonly after: SeriesKey | undefined;
  readonly limit: number;
}

/**
 * Where series live, each with its content. `MessageStore.create` stores a series with the message of its first occurrence, and
 * `MessageStore.findWaking` finds it when it wakes.
 */
export abstract class SeriesStore {
  abstract find(group: GroupName, key: SeriesKey): Promise<Series | undefined>;

  /** The one that was added last. */
  abstract findLatest(group: GroupName): Promise<Series | undefined>;

  abstract list(group: GroupName, page: SeriesPage): Promise<readonly Series[]>;

  /**
   * The content of its occurrences, verified against the seal.
   * @throws {ContentDamagedError} where it is missing or has another hash.
   */
  abstract readContent(series: Series): Promise<Buffer>;

  /**
   * Writes `after` in the place of the version before it; new content comes with its seal in it. A second run finds the next version and throws.
   * @throws {SeriesNotFoundError}
   * @throws {VersionMismatchError} where the stored version is not the one before that of `after`.
   */
  abstract replace(after: Series, content?: SealedContent): Promise<void>;
}
