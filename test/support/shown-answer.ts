import type { Answer } from './test-app.ts';

/** An answer as it is compared with that of another engine. */
export interface ShownAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Headers that say nothing about the engine. */
const LEFT_OUT = new Set([
  'date', // of the machine's clock, which may come to its next second between the two answers
]);

/** What differs because it is random, each with the word that is shown in its place. */
const RANDOM: readonly (readonly [word: string, pattern: RegExp])[] = [
  // Message keys, and the ids of requests.
  ['uuid', /[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g],
  // The file of a mail in the outbox is called after a hash of the message's key and the address.
  ['mail', /(?<=\/)[0-9a-f]{16}(?=\.eml")/g],
  // The links of a mail, each to the port of its server and with the message's key in its token.
  ['link', /http:\/\/localhost:\d+\/[ucp]\/[\w-]+/g],
  // The hash of an erased address has a secret in it.
  ['erased', /[0-9a-f]{64}(?=@erased\.invalid)/g],
  // A cursor of a list of messages has a key in it.
  ['cursor', /(?<="next_cursor":")[\w-]+(?=")/g],
];

// What a server depends on to be ready is called by its name.
const STORE_NAME = /(?<="checks":\[")(?:database|dynamodb)(?="\])/g;

/**
 * Makes the answers of one engine comparable with those of another: whatever is random is shown as a word with a number, counted in the
 * order in which it is first seen. So the same thing has the same name wherever it comes again, and two things have two.
 */
export class Showing {
  readonly #names = new Map<string, string>();
  readonly #counts = new Map<string, number>();

  show({ status, headers, text }: Answer): ShownAnswer {
    const shownHeaders = [...headers]
      .filter(([name]) => !LEFT_OUT.has(name))
      .map(([name, value]): [string, string] => [name, this.#replace(value)]);
    return { status, headers: Object.fromEntries(shownHeaders), body: this.#replace(text) };
  }

  #replace(text: string): string {
    return RANDOM.reduce(
      (shown, [word, pattern]) => shown.replaceAll(pattern, (found) => this.#nameOf(word, found)),
      text.replaceAll(STORE_NAME, '<store>'),
    );
  }

  #nameOf(word: string, found: string): string {
    const known = this.#names.get(found);
    if (known !== undefined) {
      return known;
    }
    const count = (this.#counts.get(word) ?? 0) + 1;
    const name = `<${word} ${count}>`;
    this.#counts.set(word, count);
    this.#names.set(found, name);
    return name;
  }
}
