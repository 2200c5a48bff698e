import { compile } from 'html-to-text';

/*
 * Measured on html-to-text 10.0.1 (Node 26, two busy cores): ordinary HTML takes 0.2 s per MB, but the cost of what is nested rises
 * with the square of its depth: 1 MB of `<div>` takes 12 s, during which nothing else runs, and then the stack overflows. With this
 * limit the worst that was found (`<ul><li>` without an end) takes 0.3 s. Gmail cuts whatever is longer than 102 KB anyway.
 */
export const MAX_HTML_LENGTH = 128 * 1024;
// Deeper than tables in tables in tables of any newsletter; what lies deeper is left out.
const MAX_DEPTH = 64;

const INSTEAD = 'This message is in HTML. Please open it in a mail program that shows HTML.';

const HEADINGS = ['h1', 'h2', 'h3', 'h4', 'h5', 'h6'];

const convert = compile({
  wordwrap: false, // mail programs wrap by themselves; wrapped by us, links break
  limits: { maxInputLength: MAX_HTML_LENGTH, maxDepth: MAX_DEPTH, ellipsis: '' },
  selectors: [
    ...HEADINGS.map((selector) => ({ selector, options: { uppercase: false } })),
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true, linkBrackets: ['[', ']'] } },
    { selector: 'img', format: 'skip' },
    // Otherwise the words of neighbouring cells run together.
    { selector: 'tr', format: 'block', options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
    { selector: 'td', format: 'inlineSurround', options: { suffix: ' ' } },
    { selector: 'th', format: 'inlineSurround', options: { suffix: ' ' } },
    { selector: 'head', format: 'skip' },
  ],
});

/** True of a text that says more than that the mail is in HTML. */
export function isText(text: string): boolean {
  return !text.startsWith(INSTEAD);
}

/** The plain-text part for a mail that has only HTML; a sentence that says so where the HTML is too large or too deep to convert, or has no text. */
export function htmlToText(html: string): string {
  if (html.length > MAX_HTML_LENGTH) {
    return INSTEAD;
  }
  try {
    const text = withoutTrailingSpaces(convert(html));
    return text === '' ? INSTEAD : text;
  } catch (error) {
    if (error instanceof RangeError) {
      return INSTEAD; // nested so deeply that the stack overflowed
    }
    throw error;
  }
}

const TAG_PATTERN = /\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}/g;
// Private use: no keyboard has them, and what has them all the same is not converted here.
const MARK_PATTERN = /\uE000(\d+)\uE001/g;
// What these make is HTML on purpose; as text it must be made from the rendered HTML.
const HTML_FILTER_PATTERN = /\|\s*(?:escape|escape_once|xml_escape|raw|newline_to_br)\b/;

/**
 * The text template that goes with an HTML template, so that its text need not be made from the HTML of each recipient anew.
 * `undefined` where that would not come to the same: a filter makes HTML, or a tag stands where the text has no place for it.
 */
export function liquidHtmlToText(html: string): string | undefined {
  if (html.includes('\uE000') || html.includes('\uE001')) {
    return undefined;
  }
  const tags: string[] = [];
  const marked = html.replace(TAG_PATTERN, (tag) => `\uE000${tags.push(tag) - 1}\uE001`);
  if (tags.some((tag) => HTML_FILTER_PATTERN.test(tag))) {
    return undefined;
  }
  const kept: string[] = [];
  const text = htmlToText(marked).replace(MARK_PATTERN, (_mark, index: string) => {
    const tag = tags[Number(index)] ?? '';
    kept.push(tag);
    return tag;
  });
  return isSame(tags.filter(isControl), kept.filter(isControl)) ? text : undefined;
}

function isControl(tag: string): boolean {
  return tag.startsWith('{%');
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

/** Line by line: a pattern such as `/ +$/gm` takes time with the square of the length of a run of spaces. */
function withoutTrailingSpaces(text: string): string {
  const lines = text.split('\n').map((line) => line.trimEnd());
  return lines.join('\n').trim();
}
