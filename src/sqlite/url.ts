import { isAbsolute, resolve } from 'node:path';
import { ImproperlyConfigured } from '../errors.ts';

/** Where the embedded broker lives when the URL names no file, under the working directory. */
export const DEFAULT_FILE = '.celeriac/celeriac.db';

/**
 * `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite://` (the default file). Query keys are options.
 * The form is SQLAlchemy's: three slashes and a path.
 */
export function parseSqliteUrl(url: string): { readonly file: string; readonly query: URLSearchParams } {
  const match = /^sqlite:(?:\/\/(?:\/(?<path>[^?]*))?)?(?:\?(?<query>.*))?$/i.exec(url);
  if (!match) {
    throw new ImproperlyConfigured(
      `expected sqlite:///relative.db, sqlite:////absolute.db or sqlite:// for ${DEFAULT_FILE}, got "${url}"`,
    );
  }
  const path = decodeURIComponent(match.groups?.['path'] ?? '');
  const file = path === '' ? DEFAULT_FILE : path;
  return { file: isAbsolute(file) ? file : resolve(file), query: new URLSearchParams(match.groups?.['query'] ?? '') };
}
