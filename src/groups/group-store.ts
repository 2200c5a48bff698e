import type { ExpectedVersion } from '../platform/errors/version-mismatch-error.ts';
import type { Group, GroupName, GroupSettings } from './group.ts';

export interface GroupPage {
  /** Names after this one; from the first where absent. */
  readonly after: GroupName | undefined;
  readonly limit: number;
}

/** Where groups live. Every method may run twice; each says what the second run does. */
export abstract class GroupStore {
  /**
   * Makes the group, or replaces its settings and raises its version. A second run raises the version again.
   * `expectedVersion`, where given, must be the version that is stored; `any`: there must be such a group.
   * @throws {VersionMismatchError} where it is not, or where there is no such group.
   */
  abstract put(
    name: GroupName,
    settings: GroupSettings,
    expectedVersion?: ExpectedVersion,
  ): Promise<PutGroup>;

  abstract find(name: GroupName): Promise<Group | undefined>;

  /** In order of name. */
  abstract list(page: GroupPage): Promise<readonly Group[]>;

  /**
   * Removes the group and all its subscribers. Its finished messages and their outcomes stay readable: they are the record of who got what.
   * A second run finds nothing and throws.
   * @throws {GroupNotFoundError}
   * @throws {GroupInUseError} while a message of the group is not finished.
   * @throws {VersionMismatchError}
   */
  abstract remove(name: GroupName, expectedVersion?: number): Promise<void>;
}

export interface PutGroup {
  readonly group: Group;
  readonly created: boolean;
}
