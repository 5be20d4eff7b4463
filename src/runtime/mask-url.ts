const SECRET_QUERY = /([?&](?:password|passwd|secret|token|key|credential[^=&]*)=)[^&\s"'`<>]*/gi;

/*
 * A password may hold any character, unescaped too, so it ends at the last `@` there is. Where a path or a query has
 * one, more is hidden than would have to be.
 */
const PASSWORD = /^(\s*[a-z][\w+.-]*:\/\/[^:/?#]*):.*@/is;
const PASSWORD_IN_TEXT = /\b([a-z][\w+.-]*:\/\/[^\s:/?#]*):\S*@/gi;

/** A URL as it may be shown or logged: passwords and secret-looking query values become `**`. */
export function maskUrl(url: string): string {
  return url
    .split(/;(?=\s*[a-z][\w+.-]*:\/\/)/i)
    .map((one) => one.replace(PASSWORD, '$1:**@').replace(SECRET_QUERY, '$1**'))
    .join(';');
}

/** A text as it may be shown: every URL in it without its secrets. */
export function maskSecrets(text: string): string {
  return text.includes('://')
    ? text.replace(/\S*:\/\/\S*/g, (word) => word.replace(PASSWORD_IN_TEXT, '$1:**@').replace(SECRET_QUERY, '$1**'))
    : text;
}
