import { resolve } from 'node:path';
import { ImproperlyConfigured } from '../errors.ts';
import { importModule } from './config-file.ts';

/** How `configFrom()` reads its source. */
export interface ConfigSource {
  readonly namespace?: string;
  /** @default false */
  readonly silent?: boolean;
}

/** The exports of a settings module: a path relative to the working directory, or a package. */
export async function settingsModule(module: string, silent: boolean): Promise<object | undefined> {
  try {
    return await importModule(module);
  } catch (cause) {
    // A module that exists and imports one that does not is broken, not missing.
    const { code, message } = cause as NodeJS.ErrnoException;
    const named = /'(?:file:\/\/)?([^']+)'/.exec(message)?.[1];
    const unknown = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
    const missing = unknown && (named === module || named === resolve(module));
    if (missing && silent) return undefined;
    throw new ImproperlyConfigured(
      missing
        ? `there is no module "${module}" with settings`
        : `the settings of "${module}" could not be loaded: ${message}`,
      { cause },
    );
  }
}
