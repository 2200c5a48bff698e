import type { LeaveUrls } from '../consent/links.ts';
import type { Language } from '../groups/language.ts';
import { escapeHtml } from '../platform/http/escape-html.ts';
import { joined, type MergedPart, type Rendered } from '../schedule/compiled-content.ts';

interface Words {
  /** Why the reader gets this, with the name of the group at `%s`. */
  readonly reason: string;
  readonly unsubscribe: string;
  readonly preferences: string;
}

const WORDS: Readonly<Record<Language, Words>> = {
  en: {
    reason: 'You receive this because you are subscribed to “%s”.',
    unsubscribe: 'Unsubscribe',
    preferences: 'Preferences',
  },
  de: {
    reason: 'Sie erhalten diese E-Mail, weil Sie „%s“ abonniert haben.',
    unsubscribe: 'Abbestellen',
    preferences: 'Einstellungen',
  },
  fr: {
    reason: 'Vous recevez ce message car votre adresse est inscrite à « %s ».',
    unsubscribe: 'Se désabonner',
    preferences: 'Préférences',
  },
  es: {
    reason: 'Recibe este mensaje porque su dirección está suscrita a «%s».',
    unsubscribe: 'Darse de baja',
    preferences: 'Preferencias',
  },
};

const BOX = 'margin-top:2em;padding-top:1em;border-top:1px solid #ccc;font:13px/1.5 sans-serif;color:#666';
const BODY_END_PATTERN = /<\/body\s*>/gi;

/** The footers of one group's mails, one for each language: the same objects for every mail, so that a provider can merge them. */
export class Footers {
  readonly #made = new Map<Language, { readonly html: FooterPart; readonly text: FooterPart }>();

  constructor(
    private readonly list: string,
    private readonly postalAddress: string | undefined,
  ) {}

  /** Puts a footer below each part that has no link to unsubscribe with. What was scheduled stays as it is: only what is sent has it. */
  add({ subject, ...rendered }: Rendered, urls: LeaveUrls, language: Language): Rendered {
    const { html, text } = this.#for(language);
    const { merge } = rendered;
    const merged = {
      html: withFooter(merge?.html ?? fixed(rendered.html), html, urls),
      text: withFooter(merge?.text ?? fixed(rendered.text), text, urls),
    };
    return {
      subject,
      html: joined(merged.html),
      text: joined(merged.text),
      merge: merge && merged,
    };
  }

  #for(language: Language): { readonly html: FooterPart; readonly text: FooterPart } {
    let made = this.#made.get(language);
    if (!made) {
      const words = WORDS[language];
      made = {
        html: new FooterPart(htmlLiterals(words, language, this.list, this.postalAddress), beforeBodyEnd),
        text: new FooterPart(textLiterals(words, this.list, this.postalAddress), atTheEnd),
      };
      this.#made.set(language, made);
    }
    return made;
  }
}

function withFooter(part: MergedPart, footer: FooterPart, urls: LeaveUrls): MergedPart {
  // No two deliveries have the same link, so it is nothing that stands in the content by itself.
  const hasLink = [...part.values, ...(part.values.length === 0 ? part.literals : [])].some((text) =>
    text.includes(urls.unsubscribe),
  );
  return hasLink ? part : footer.addTo(part, urls);
}

/** A place in a part: in which literal, and at which character of it. */
interface Place {
  readonly index: number;
  readonly at: number;
}

/** A footer of one part: literals with the two links between them. */
class FooterPart {
  /** What literals become: the same array for the same one, by which mails are known to have one template. */
  readonly #extended = new WeakMap<readonly string[], { literals: readonly string[]; index: number }>();

  constructor(
    private readonly literals: readonly [string, string, string],
    private readonly placeIn: (literals: readonly string[]) => Place,
  ) {}

  addTo({ literals, values }: MergedPart, { unsubscribe, preferences }: LeaveUrls): MergedPart {
    const extended = this.#extend(literals);
    const before = values.slice(0, extended.index);
    const after = values.slice(extended.index);
    return { literals: extended.literals, values: [...before, unsubscribe, preferences, ...after] };
  }

  #extend(literals: readonly string[]): { literals: readonly string[]; index: number } {
    let extended = this.#extended.get(literals);
    if (!extended) {
      const { index, at } = this.placeIn(literals);
      const literal = literals[index] ?? '';
      const [first, between, last] = this.literals;
      extended = {
        index,
        literals: [
          ...literals.slice(0, index),
          literal.slice(0, at) + first,
          between,
          last + literal.slice(at),
          ...literals.slice(index + 1),
        ],
      };
      this.#extended.set(literals, extended);
    }
    return extended;
  }
}

function htmlLiterals(
  words: Words,
  language: Language,
  list: string,
  postalAddress: string | undefined,
): readonly [string, string, string] {
  const address =
    postalAddress === undefined
      ? ''
      : `<p style="margin:.5em 0 0">${escapeHtml(postalAddress).replaceAll(/\r\n?|\n/g, '<br>')}</p>`;
  return [
    `\n<div lang="${language}" style="${BOX}"><p style="margin:0">${escapeHtml(words.reason.replace('%s', () => list))}<br><a href="`,
    `">${words.unsubscribe}</a> · <a href="`,
    `">${words.preferences}</a></p>${address}</div>\n`,
  ];
}

// `-- ` on a line of its own begins what is not part of the message (RFC 3676, 4.3).
function textLiterals(
  words: Words,
  list: string,
  postalAddress: string | undefined,
): readonly [string, string, string] {
  return [
    `\n\n-- \n${words.reason.replace('%s', () => list)}\n${words.unsubscribe}: `,
    `\n${words.preferences}: `,
    postalAddress === undefined ? '\n' : `\n${postalAddress}\n`,
  ];
}

/** Before the last `</body>` there is; at the end where there is none. */
function beforeBodyEnd(literals: readonly string[]): Place {
  for (const [index, literal] of [...literals.entries()].toReversed()) {
    const last = [...literal.matchAll(BODY_END_PATTERN)].at(-1);
    if (last) {
      return { index, at: last.index };
    }
  }
  return atTheEnd(literals);
}

function atTheEnd(literals: readonly string[]): Place {
  const index = literals.length - 1;
  return { index, at: literals[index]?.length ?? 0 };
}

function fixed(text: string): MergedPart {
  return { literals: [text], values: [] };
}
