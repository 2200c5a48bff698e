import type { Subscriber } from './subscriber.ts';

/** In which footers, pages and confirmations are written. */
export const LANGUAGES = ['en', 'de', 'fr', 'es'] as const;
export type Language = (typeof LANGUAGES)[number];

// Where lists that come from elsewhere commonly have it.
const ATTRIBUTES = ['language', 'lang', 'locale'];

/** The subscriber's, where an attribute names one that is spoken here (`de`, `de-AT` and `DE_at` are German); else that of the group. */
export function languageOf(
  subscriber: Pick<Subscriber, 'attributes'> | undefined,
  fallback: Language | undefined,
): Language {
  for (const attribute of ATTRIBUTES) {
    const language = parseLanguage(subscriber?.attributes[attribute]);
    if (language) {
      return language;
    }
  }
  return fallback ?? 'en';
}

function parseLanguage(tag: unknown): Language | undefined {
  const [primary] = typeof tag === 'string' ? tag.toLowerCase().split(/[-_]/, 1) : [];
  return LANGUAGES.find((language) => language === primary);
}
