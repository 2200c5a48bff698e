/**
 * A path that is a link out of a mail: one letter, and a token that is as good as a key. Tokens are longer than any word that may stand in its
 * place.
 */
export const SIGNED_LINK_PATTERN = /^\/([ucp])\/[^/?]{20,}/;
