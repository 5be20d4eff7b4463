import { maskUrl } from '../runtime/mask-url.ts';

const URL_IN_TEXT = /\b[a-z][a-z\d+.-]*:\/\/[^\s"'`<>]+/gi;

/** A text as it may be shown: every URL in it without its password. */
export function maskSecrets(text: string): string {
  return text.includes('://') ? text.replace(URL_IN_TEXT, (url) => maskUrl(url)) : text;
}
