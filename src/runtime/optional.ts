import { ImproperlyConfigured } from '../errors.ts';

/** Loads an optional package on first use; the message tells the reader what to type. */
export async function optional<T>(name: string, needed: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw new ImproperlyConfigured(`${needed} needs the package "${name}". Run: npm install ${name}`, { cause });
  }
}
