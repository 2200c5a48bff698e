import type { UpdateCommandInput } from '@aws-sdk/lib-dynamodb';
import type { Item } from './item.ts';
import type { TransactItem } from './transact.ts';

/** Which item. */
interface Target {
  readonly TableName: string;
  readonly Key: Item;
}

/** What both forms have in common. */
interface Check {
  readonly ConditionExpression: string;
  readonly ExpressionAttributeNames?: Record<string, string>;
  readonly ExpressionAttributeValues?: Record<string, unknown>;
}

/** A change of one item, collected step by step and put together as DynamoDB wants it. Attributes may have any name. */
export class ItemUpdate {
  readonly #sets: string[] = [];
  readonly #adds: string[] = [];
  readonly #removes: string[] = [];
  readonly #conditions: string[] = [];
  readonly #aliases = new Map<string, string>();
  readonly #names: Record<string, string> = {};
  readonly #values: Record<string, unknown> = {};

  /** True where there is nothing to write and nothing to check. */
  get isEmpty(): boolean {
    return this.#changes() === '' && this.#conditions.length === 0;
  }

  set(attribute: string, value: unknown): this {
    this.#sets.push(`${this.#name(attribute)} = ${this.#value(value)}`);
    return this;
  }

  /** Does nothing where there is nothing to add. */
  add(attribute: string, amount: number): this {
    if (amount !== 0) {
      this.#adds.push(`${this.#name(attribute)} ${this.#value(amount)}`);
    }
    return this;
  }

  remove(...attributes: readonly string[]): this {
    this.#removes.push(...attributes.map((attribute) => this.#name(attribute)));
    return this;
  }

  /** Every condition must hold. `values` are those that it names; a reserved word is written `#word` in it, and given in `reserved`. */
  require(condition: string, values: Item = {}, reserved: readonly string[] = []): this {
    this.#conditions.push(`(${condition})`);
    Object.assign(this.#values, values);
    for (const word of reserved) {
      this.#names[`#${word}`] = word;
    }
    return this;
  }

  /** That the map has no such entry; there need be no map. */
  requireAbsent(map: string, entry: string): this {
    this.#conditions.push(`attribute_not_exists(${this.#name(map)}.${this.#name(entry)})`);
    return this;
  }

  requireEqual(attribute: string, value: unknown): this {
    this.#conditions.push(`${this.#name(attribute)} = ${this.#value(value)}`);
    return this;
  }

  /** Removes an entry of a map, which must have this value. */
  removeEntry(map: string, entry: string, value: unknown): this {
    const path = `${this.#name(map)}.${this.#name(entry)}`;
    this.#removes.push(path);
    this.#conditions.push(`${path} = ${this.#value(value)}`);
    return this;
  }

  /** As an item of a transaction; only a check where it changes nothing. */
  inTransaction(target: Target): TransactItem {
    const UpdateExpression = this.#changes();
    const check = { ...this.#check(), ...target };
    return UpdateExpression === '' ? { ConditionCheck: check } : { Update: { ...check, UpdateExpression } };
  }

  /** As a write of its own. */
  byItself(target: Target): UpdateCommandInput {
    return { ...this.#check(), ...target, UpdateExpression: this.#changes() };
  }

  #changes(): string {
    return [['SET', this.#sets] as const, ['REMOVE', this.#removes] as const, ['ADD', this.#adds] as const]
      .filter(([, clauses]) => clauses.length > 0)
      .map(([keyword, clauses]) => `${keyword} ${clauses.join(',')}`)
      .join(' ');
  }

  #check(): Check {
    return {
      ConditionExpression: this.#conditions.join(' AND '),
      // DynamoDB refuses an empty map.
      ...(Object.keys(this.#names).length > 0 && { ExpressionAttributeNames: this.#names }),
      ...(Object.keys(this.#values).length > 0 && { ExpressionAttributeValues: this.#values }),
    };
  }

  /** An alias, short because an expression has at most 4 KB (DynamoDB Developer Guide, Quotas). */
  #name(attribute: string): string {
    const alias = this.#aliases.get(attribute) ?? `#${this.#aliases.size}`;
    this.#aliases.set(attribute, alias);
    this.#names[alias] = attribute;
    return alias;
  }

  #value(value: unknown): string {
    const alias = `:${Object.keys(this.#values).length}`;
    this.#values[alias] = value;
    return alias;
  }
}
