import { createHash } from 'node:crypto';
import type { Language } from '../groups/language.ts';
import type { SubscriberStatus } from '../groups/subscriber.ts';
import { escapeHtml } from '../platform/http/escape-html.ts';
import { ONE_CLICK, OUR_PAGE } from './one-click.ts';
import { say, type Words, WORDS } from './words.ts';

const STYLE = `
  :root { color-scheme: light dark; --ground: #fbfaf8; --card: #fff; --ink: #22201d; --soft: #6b655d; --line: #e4dfd7; --accent: #8a4b0f; --on: #fff; }
  @media (prefers-color-scheme: dark) {
    :root { --ground: #191816; --card: #22201e; --ink: #ece8e1; --soft: #a39b90; --line: #393530; --accent: #f0b072; --on: #22201d; }
  }
  * { box-sizing: border-box; }
  body { margin: 0; background: var(--ground); color: var(--ink); font: 1.0625rem/1.5 system-ui, sans-serif; }
  main { max-width: 34rem; margin: 12vh auto 4rem; padding: 0 1rem; }
  .card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1.5rem 1.75rem; }
  h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem; }
  p, fieldset, li { overflow-wrap: anywhere; }
  p { margin: 0 0 1.25rem; }
  .soft { color: var(--soft); font-size: .9375rem; }
  fieldset { border: 0; margin: 0 0 1.25rem; padding: 0; }
  legend { padding: 0; margin: 0 0 .5rem; }
  label { display: flex; gap: .75rem; align-items: baseline; padding: .5rem 0; border-top: 1px solid var(--line); }
  input[type=checkbox] { width: 1.125rem; height: 1.125rem; flex: none; accent-color: var(--accent); transform: translateY(.2rem); }
  button { font: inherit; font-weight: 600; padding: .6rem 1.25rem; min-height: 2.75rem; border-radius: .375rem; border: 1px solid var(--accent); background: var(--accent); color: var(--on); cursor: pointer; }
  button.quiet { background: transparent; color: var(--accent); }
  a { color: var(--accent); text-underline-offset: .2em; }
  a:focus-visible, button:focus-visible, input:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
  hr { border: 0; border-top: 1px solid var(--line); margin: 1.5rem 0; }
  form { margin: 0; }
  .end { margin: 1.25rem 0 0; }
  .card > :last-child { margin-bottom: 0; }
`;

/** Nothing but the style that is written into the page, and forms that go back to it: no script, no image, nothing from elsewhere. */
export const LINK_PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** To whom a page speaks, and of what. */
export interface Visit {
  readonly language: Language;
  /** The group's name for people. */
  readonly list: string;
  readonly email: string;
  /** Relative, to the page with all groups. */
  readonly preferences: string;
}

/** A group on the page of preferences. */
export interface Choice {
  readonly group: string;
  /** Its name for people. */
  readonly list: string;
  readonly status: SubscriberStatus;
}

/** Asks; opening it changes nothing, because programs that look for evil open every link. `note` says what went wrong before. */
export function askToLeavePage(visit: Visit, note?: keyof Words): string {
  const words = WORDS[visit.language];
  return page(visit.language, words.unsubscribe, [
    note === undefined ? '' : paragraph(words[note]),
    paragraph(say(words.ask, visit)),
    `<form method="post">${field(ONE_CLICK.name, ONE_CLICK.value)}${field(OUR_PAGE.name, OUR_PAGE.value)}${button(words.unsubscribe)}</form>`,
  ]);
}

export function leftPage(visit: Visit): string {
  const words = WORDS[visit.language];
  return page(visit.language, words.left, [
    paragraph(say(words.leftDetail, visit)),
    `<p class="end"><a href="${escapeHtml(visit.preferences)}">${words.preferences}</a></p>`,
  ]);
}

/** Asks; a program that opens every link confirms nothing by that. */
export function askToConfirmPage(visit: Visit): string {
  const words = WORDS[visit.language];
  return page(visit.language, words.confirm, [
    paragraph(say(words.confirmAsk, visit)),
    `<form method="post">${field(OUR_PAGE.name, OUR_PAGE.value)}${button(words.confirm)}</form>`,
  ]);
}

export function confirmedPage(visit: Visit): string {
  const words = WORDS[visit.language];
  return page(visit.language, words.confirmed, [paragraph(say(words.confirmedDetail, visit))]);
}

/** Every group of the address, each with its tick; `note` says what was just done, or went wrong. */
export function preferencesPage(visit: Visit, choices: readonly Choice[], note?: keyof Words): string {
  const words = WORDS[visit.language];
  const form =
    choices.length === 0
      ? paragraph(say(words.nothing, visit))
      : `<form method="post">${field(OUR_PAGE.name, OUR_PAGE.value)}
<fieldset><legend>${escapeHtml(say(words.preferencesOf, visit))}</legend>
${choices.map((choice) => choiceRow(choice, words)).join('\n')}
</fieldset>
${paragraph(words.preferencesHelp, 'soft')}
${button(words.save)}</form>`;
  return page(visit.language, words.preferences, [
    note === undefined ? '' : status(say(words[note], visit)),
    form,
    `<hr>${paragraph(words.allDetail, 'soft')}
<form method="post">${field(OUR_PAGE.name, OUR_PAGE.value)}${field('all', 'yes')}${button(words.all, 'quiet')}</form>`,
  ]);
}

/** Nothing is left to decide here. */
export function suppressedPage(visit: Visit, note: 'allDone' | 'suppressed'): string {
  const words = WORDS[visit.language];
  return page(visit.language, words.preferences, [status(say(words[note], visit))]);
}

/** The same for every link that is none: it says nothing of why. */
export function noSuchLinkPage(language: Language = 'en'): string {
  const words = WORDS[language];
  return page(language, words.gone, [paragraph(words.goneDetail)]);
}

function page(language: Language, title: string, parts: readonly string[]): string {
  return `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main><div class="card">
<h1>${escapeHtml(title)}</h1>
${parts.filter((part) => part !== '').join('\n')}
</div></main>
</body>
</html>
`;
}

function choiceRow({ group, list, status: state }: Choice, words: Words): string {
  const ticked = state === 'unsubscribed' ? '' : ' checked';
  const wait = state === 'pending' ? ` <span class="soft">(${escapeHtml(words.wait)})</span>` : '';
  return `<label>${field('shown', group)}<input type="checkbox" name="kept" value="${escapeHtml(group)}"${ticked}><span>${escapeHtml(list)}${wait}</span></label>`;
}

/** Read out by screen readers when the page comes. */
function status(text: string): string {
  return `<p role="status">${escapeHtml(text)}</p>`;
}

function paragraph(text: string, className = ''): string {
  return `<p${className === '' ? '' : ` class="${className}"`}>${escapeHtml(text)}</p>`;
}

function field(name: string, value: string): string {
  return `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`;
}

function button(label: string, className = ''): string {
  return `<button${className === '' ? '' : ` class="${className}"`}>${escapeHtml(label)}</button>`;
}
