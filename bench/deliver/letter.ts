/** Somebody who gets the letter. */
export interface Reader {
  readonly email: string;
  readonly name: string;
  readonly attributes: { readonly city: string; readonly plan: string };
}

export interface Letter {
  readonly subject: string;
  readonly html: string;
  readonly text: string;
}

export function readerOf(number: number): Reader {
  return {
    email: `reader-${number}@example.com`,
    name: `Reader ${number}`,
    attributes: { city: 'København', plan: number % 2 === 0 ? 'free' : 'paid' },
  };
}

/** What a newsletter looks like, as Liquid; its items fill it up to so many bytes of HTML. `tags`: with more than values to put in. */
export function letterOf(bytes: number, tags: 'tags' | 'variables only'): Letter {
  const [city, plan] =
    tags === 'tags'
      ? [
          '{% if subscriber.attributes.city %} in {{ subscriber.attributes.city }}{% endif %}',
          '{{ subscriber.attributes.plan | default: "free" }}',
        ]
      : [' in {{ subscriber.attributes.city }}', '{{ subscriber.attributes.plan }}'];
  const head = `<!doctype html>
<html><body style="font-family: sans-serif">
<h1>Hello {{ subscriber.name }},</h1>
<p>here is what happened this week${city}.</p>
<ul>
`;
  const foot = `</ul>
<p>You are on the ${plan} plan, with the address {{ subscriber.email }}.</p>
</body></html>
`;
  const count = Math.floor((bytes - head.length - foot.length) / ITEM.html.length);
  return {
    subject: 'The news of this week, {{ subscriber.name }}',
    html: head + ITEM.html.repeat(count) + foot,
    text: `Hello {{ subscriber.name }},

here is what happened this week${city}.

${ITEM.text.repeat(count)}
You are on the ${plan} plan, with the address {{ subscriber.email }}.
`,
  };
}

/** The letter as its reader gets it, with a footer as long as Belfry's: for a sender that renders nothing. */
export function writtenFor({ email, name, attributes }: Reader, { subject, html, text }: Letter): Letter {
  const write = (template: string): string =>
    template
      .replaceAll(/\{% if [^%]*%\}|\{% endif %\}/g, '')
      .replaceAll('{{ subscriber.name }}', name)
      .replaceAll('{{ subscriber.email }}', email)
      .replaceAll('{{ subscriber.attributes.city }}', attributes.city)
      .replaceAll(/\{\{ subscriber\.attributes\.plan[^}]*\}\}/g, attributes.plan);
  return {
    subject: write(subject),
    html: write(html.replace('</body>', `${FOOTER.html}</body>`)),
    text: write(text + FOOTER.text),
  };
}

const ITEM = {
  html: '<li><a href="https://news.example.com/items/42">Another thing that is worth reading about</a></li>\n',
  text: ' * Another thing that is worth reading about [https://news.example.com/items/42]\n',
};

const LINK = `http://localhost:3000/u/${'x'.repeat(96)}`;
const FOOTER = {
  html: `
<div lang="en" style="margin-top:2em;padding-top:1em;border-top:1px solid #ccc;font:13px/1.5 sans-serif;color:#666"><p style="margin:0">You receive this because you are subscribed to “everybody”.<br><a href="${LINK}">Unsubscribe</a> · <a href="${LINK}">Preferences</a></p></div>
`,
  text: `

-- 
You receive this because you are subscribed to “everybody”.
Unsubscribe: ${LINK}
Preferences: ${LINK}
`,
};
