import type { Address } from 'postal-mime';
import { escapeHtml } from '../../platform/http/escape-html.ts';
import type { OutboxItem, OutboxList, OutboxMail } from './outbox.ts';

/**
 * What the pages, and the mail shown in one of them, may do: nothing but have styles and show images that are in the mail itself.
 * A frame made with `srcdoc` inherits this policy (HTML Standard, policy containers), so a mail loads nothing from elsewhere; its sandbox
 * keeps it from running scripts a second time.
 */
export const PAGE_POLICY = [
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const STYLE = `
  :root { color-scheme: light dark; --ground: #fbfaf8; --card: #fff; --ink: #22201d; --soft: #6b655d; --line: #e4dfd7; --accent: #8a4b0f; }
  @media (prefers-color-scheme: dark) {
    :root { --ground: #191816; --card: #22201e; --ink: #ece8e1; --soft: #a39b90; --line: #393530; --accent: #f0b072; }
  }
  * { box-sizing: border-box; }
  body { margin: 0; background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
  main { max-width: 64rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
  h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
  h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
  p { margin: 0 0 1.5rem; color: var(--soft); }
  a { color: var(--accent); text-underline-offset: .2em; }
  a:focus-visible, iframe:focus-visible, pre:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
  nav { margin: 0 0 1.5rem; display: flex; gap: 1.5rem; }
  .card + nav { margin-top: 1.5rem; }
  .card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; }
  table { width: 100%; border-collapse: collapse; }
  th, td { padding: .6rem 1rem; text-align: left; vertical-align: baseline; overflow-wrap: anywhere; }
  thead th { font-size: .8rem; color: var(--soft); }
  tr + tr > *, .list tbody > tr:first-child > td { border-top: 1px solid var(--line); }
  time { white-space: nowrap; font-variant-numeric: tabular-nums; color: var(--soft); }
  .head th { width: 8rem; color: var(--soft); font-weight: 500; }
  iframe { display: block; width: 100%; height: 26rem; resize: vertical; border: 0; background: #fff; color-scheme: light; }
  pre { margin: 0; padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere; font: .9rem/1.5 ui-monospace, monospace; }
  @media (max-width: 40rem) {
    .list thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
    .list tr { display: block; padding: .6rem 1rem; }
    .list tr + tr { border-top: 1px solid var(--line); }
    .list td { display: block; padding: 0; border: 0 !important; }
    .head th { width: 6rem; }
  }
`;

/** The list of mails. */
export function listPage({ items, page, hasMore }: OutboxList): string {
  const rows = items.map(listRow).join('');
  const table = `<div class="card"><table class="list">
<thead><tr><th scope="col">Written</th><th scope="col">To</th><th scope="col">Subject</th></tr></thead>
<tbody>${rows}</tbody></table></div>`;
  return htmlPage(
    page === 1 ? 'Outbox' : `Outbox, page ${page}`,
    `<h1>Outbox</h1>
<p>Mails that Belfry wrote to files instead of sending them. Set SMTP_URL to send.</p>
${items.length > 0 ? table : '<p>There is nothing here.</p>'}
${pager(page, hasMore)}`,
  );
}

/** One mail: its headers, its HTML, its text. */
export function mailPage({ id, email }: OutboxMail): string {
  const subject = email.subject === undefined || email.subject === '' ? '(no subject)' : email.subject;
  const headers: readonly (readonly [string, string])[] = [
    ['From', email.from === undefined ? '' : addressText(email.from)],
    ['To', (email.to ?? []).map(addressText).join(', ')],
    ...(email.replyTo ?? []).map((address) => ['Reply-To', addressText(address)] as const),
    ['Subject', email.subject ?? ''],
    ['Date', email.date ?? ''],
    ['Message-ID', email.messageId ?? ''],
  ];
  // Relative, so that they hold behind a proxy that adds a prefix.
  return htmlPage(
    `${subject} – Outbox`,
    `<nav aria-label="Outbox"><a href="../../outbox">All mails</a><a href="${id.hash}/raw">Source (.eml)</a></nav>
<h1>${escapeHtml(subject)}</h1>
<h2>Headers</h2>
<div class="card"><table class="head"><tbody>${headers.map(headerRow).join('')}</tbody></table></div>
<h2>HTML</h2>
<div class="card"><iframe sandbox="" title="The HTML part of the mail" srcdoc="${escapeHtml(email.html ?? '')}"></iframe></div>
<h2 id="text">Text</h2>
<div class="card"><pre aria-labelledby="text" role="region" tabindex="0">${escapeHtml(email.text ?? '')}</pre></div>`,
  );
}

function htmlPage(title: string, main: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${main}
</main>
</body>
</html>
`;
}

function listRow({ id, at, to, subject }: OutboxItem): string {
  const iso = at.toString({ smallestUnit: 'second' });
  const shown = iso.replace('T', ' ').replace('Z', ' UTC');
  const link = `outbox/${id.messageKey}/${id.hash}`;
  return `<tr><td><time datetime="${iso}">${shown}</time></td><td>${escapeHtml(to)}</td><td><a href="${link}">${escapeHtml(subject === '' ? '(no subject)' : subject)}</a></td></tr>
`;
}

function headerRow([name, value]: readonly [string, string]): string {
  return `<tr><th scope="row">${name}</th><td>${escapeHtml(value)}</td></tr>
`;
}

function pager(page: number, hasMore: boolean): string {
  const newer = page > 1 ? `<a rel="prev" href="?page=${page - 1}">Newer</a>` : '';
  const older = hasMore ? `<a rel="next" href="?page=${page + 1}">Older</a>` : '';
  return newer + older === '' ? '' : `<nav aria-label="Pages">${newer}${older}</nav>`;
}

function addressText({ name, address }: Address): string {
  return name === '' ? (address ?? '') : `${name} <${address ?? ''}>`;
}
