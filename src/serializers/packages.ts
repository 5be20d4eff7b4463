import { createRequire } from 'node:module';
import { ImproperlyConfigured } from '../errors.ts';

/** Loads an optional package at once: serializers answer without promises. */
export function requireOptional(name: string, needed: string): unknown {
  try {
    return createRequire(import.meta.url)(name) as unknown;
  } catch (cause) {
    throw new ImproperlyConfigured(`${needed} needs the package "${name}". Run: npm install ${name}`, { cause });
  }
}
