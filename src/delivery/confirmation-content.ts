import type { Language } from '../groups/language.ts';
import { escapeHtml } from '../platform/http/escape-html.ts';

/** What a mail that asks for a confirmation is about. */
interface Asked {
  /** The group's name for people. */
  readonly list: string;
  readonly url: string;
  readonly postalAddress: string | undefined;
}

interface Words {
  readonly subject: string;
  readonly ask: string;
  readonly confirm: string;
  readonly ignore: string;
}

const WORDS: Readonly<Record<Language, Words>> = {
  en: {
    subject: 'Please confirm: %s',
    ask: 'Somebody, most likely you, wants mail of “%s” at this address. Please confirm it:',
    confirm: 'Confirm',
    ignore: 'If it was not you, do nothing: then nothing is sent to you.',
  },
  de: {
    subject: 'Bitte bestätigen: %s',
    ask: 'Jemand, vermutlich Sie, möchte an diese Adresse E-Mails von „%s“ bekommen. Bitte bestätigen Sie das:',
    confirm: 'Bestätigen',
    ignore: 'Wenn Sie das nicht waren, tun Sie nichts: Dann wird Ihnen nichts gesendet.',
  },
  fr: {
    subject: 'Merci de confirmer : %s',
    ask: 'Quelqu’un, sans doute vous, souhaite recevoir les messages de « %s » à cette adresse. Merci de le confirmer :',
    confirm: 'Confirmer',
    ignore: 'Si ce n’était pas vous, ne faites rien : rien ne vous sera envoyé.',
  },
  es: {
    subject: 'Confirme, por favor: %s',
    ask: 'Alguien, probablemente usted, desea recibir mensajes de «%s» en esta dirección. Confírmelo, por favor:',
    confirm: 'Confirmar',
    ignore: 'Si no fue usted, no haga nada: no se le enviará nada.',
  },
};

/** What the mail says; the list is named, and nothing else is written by anybody but us. */
export function confirmationContent(
  language: Language,
  { list, url, postalAddress }: Asked,
): { readonly subject: string; readonly html: string; readonly text: string } {
  const words = WORDS[language];
  const ask = words.ask.replace('%s', () => list);
  const address = postalAddress === undefined ? '' : `\n\n-- \n${postalAddress}`;
  return {
    subject: words.subject.replace('%s', () => list),
    text: `${ask}\n\n${url}\n\n${words.ignore}${address}\n`,
    html: `<!doctype html>
<html lang="${language}"><body style="font:16px/1.5 sans-serif">
<p>${escapeHtml(ask)}</p>
<p><a href="${escapeHtml(url)}">${words.confirm}</a></p>
<p>${escapeHtml(words.ignore)}</p>
${postalAddress === undefined ? '' : `<p style="color:#666">${escapeHtml(postalAddress).replaceAll(/\r\n?|\n/g, '<br>')}</p>\n`}</body></html>
`,
  };
}
