import { Injectable } from '@nestjs/common';
import { Mac } from '../platform/http/mac.ts';
import { SigningKey } from '../platform/http/signing-key.ts';
import { isSubscriberKey, type SubscriberKey } from './subscriber.ts';
import { SuppressionStore } from './suppression-store.ts';
import type { Suppression } from './suppression.ts';

const PURPOSE = 'erased addresses';
// RFC 6761, 6.4: a domain that nobody can have. 64 hexadecimal digits are as much as may stand before the @ (RFC 5321, 4.5.3.1.1).
const DOMAIN = 'erased.invalid';

/**
 * Decides to whom nothing is sent, whatever group they are in: by their address or, of a person who was erased, by a keyed hash of it. Such a
 * hash is known under every key of SIGNING_SECRET, so that it outlives a rotation.
 */
@Injectable()
export class Suppressions {
  readonly #newest: Mac;
  readonly #keys: readonly Mac[];

  constructor(
    private readonly store: SuppressionStore,
    key: SigningKey,
  ) {
    this.#newest = new Mac(key.derive(PURPOSE));
    this.#keys = key.all.map((one) => new Mac(one.derive(PURPOSE)));
  }

  /** Answers whether it was new. Of an address that is suppressed already the first reason stays; of one that was erased nothing is kept. */
  async add(suppression: Suppression): Promise<boolean> {
    const erased = await this.findErased([suppression.subscriber]);
    return erased.size === 0 && (await this.store.add(suppression));
  }

  async find(subscriber: SubscriberKey): Promise<Suppression | undefined> {
    return (await this.findAmong([subscriber])).get(subscriber);
  }

  /** Of these, those that are suppressed. */
  async findAmong(subscribers: readonly SubscriberKey[]): Promise<ReadonlyMap<SubscriberKey, Suppression>> {
    return (await this.store.mayHaveErased())
      ? this.#findAs(subscribers, (subscriber) => [subscriber, ...this.#hashesOf(subscriber)])
      : this.store.findAmong(subscribers);
  }

  /** Of these, those whose person was erased. */
  async findErased(subscribers: readonly SubscriberKey[]): Promise<ReadonlyMap<SubscriberKey, Suppression>> {
    if (!(await this.store.mayHaveErased())) {
      return new Map();
    }
    return this.#findAs(subscribers, (subscriber) => this.#hashesOf(subscriber));
  }

  /** Keeps a hash instead of the address, and answers since when that is so; a second call changes nothing. */
  async erase(subscriber: SubscriberKey, at: Temporal.Instant): Promise<Temporal.Instant> {
    const known = (await this.findErased([subscriber])).get(subscriber);
    if (!known) {
      const hash = hashOf(this.#newest, subscriber);
      await this.store.add({ subscriber: hash, reason: 'erased', detail: undefined, addedAt: at });
    }
    if (!subscriber.endsWith(`@${DOMAIN}`)) {
      await this.store.remove(subscriber); // a hash is nobody's address, and stays
    }
    return known?.addedAt ?? at;
  }

  /** Forgets that the person was erased, because they want to be written to again; a second call changes nothing. */
  async restore(subscriber: SubscriberKey): Promise<void> {
    for (const hash of this.#hashesOf(subscriber)) {
      await this.store.remove(hash);
    }
  }

  async #findAs(
    subscribers: readonly SubscriberKey[],
    namesOf: (subscriber: SubscriberKey) => readonly SubscriberKey[],
  ): Promise<ReadonlyMap<SubscriberKey, Suppression>> {
    const owners = new Map(
      subscribers.flatMap((subscriber) => namesOf(subscriber).map((name) => [name, subscriber] as const)),
    );
    const found = await this.store.findAmong([...owners.keys()]);
    return new Map(
      [...found].flatMap(([name, suppression]) => {
        const owner = owners.get(name);
        return owner === undefined ? [] : [[owner, suppression] as const];
      }),
    );
  }

  #hashesOf(subscriber: SubscriberKey): readonly SubscriberKey[] {
    return this.#keys.map((key) => hashOf(key, subscriber));
  }
}

function hashOf(key: Mac, subscriber: SubscriberKey): SubscriberKey {
  const hash = `${key.of(Buffer.from(subscriber)).toString('hex')}@${DOMAIN}`;
  if (!isSubscriberKey(hash)) {
    throw new Error('A hash has another form than an address.');
  }
  return hash;
}
