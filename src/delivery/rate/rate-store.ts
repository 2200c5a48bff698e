import type { GroupName } from '../../groups/group.ts';
import type { ChannelName } from '../channels/channel.ts';
import type { Pace } from './pace.ts';

/** What is limited: all mail through a channel, or to a group. */
export type RateKey = `channel/${ChannelName}` | `group/${GroupName}`;

/**
 * Where paces live, so that all workers keep to a rate together. Nothing in it matters for long: a pace that is lost begins anew.
 */
export abstract class RateStore {
  /** As it was written last; a chunk may be cut off it a moment later. */
  abstract find(key: RateKey): Promise<Pace | undefined>;

  /**
   * Replaces the pace by what `change` makes of it, and answers what `change` answers beside. Nobody else changes it meanwhile; where somebody
   * was quicker, `change` is asked again, about what is there then. A second run changes it again.
   * @throws {StoreUnavailableError}
   */
  abstract change<Answer>(
    key: RateKey,
    change: (pace: Pace | undefined) => { readonly pace: Pace; readonly answer: Answer },
  ): Promise<Answer>;
}
