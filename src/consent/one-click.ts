/** What a mail provider posts when its user presses Unsubscribe (RFC 8058, 3.1); our own page posts it too. */
export const ONE_CLICK = { name: 'List-Unsubscribe', value: 'One-Click' } as const;

/** What our own pages say. */
export const OUR_PAGE = { name: 'from', value: 'page' } as const;

/** True of what one of our pages sends. */
export function isOurForm(body: unknown): body is FormData {
  return body instanceof FormData && body.get(OUR_PAGE.name) === OUR_PAGE.value;
}

/** True of a form that says so, whatever else is in it. */
export function isOneClick(body: unknown): body is FormData {
  return body instanceof FormData && body.getAll(ONE_CLICK.name).includes(ONE_CLICK.value);
}
