const SECRET_QUERY = /([?&](?:password|passwd|secret|token|key|credential[^=&]*)=)[^&]*/gi;

/** A URL as it may be shown or logged: passwords and secret-looking query values become `**`. */
export function maskUrl(url: string): string {
  return url
    .split(';')
    .map((one) => one.replace(/^([a-z][\w+.-]*:\/\/[^:@/?#]*):[^@]*@/i, '$1:**@').replace(SECRET_QUERY, '$1**'))
    .join(';');
}
