import { createRequire } from 'node:module';

/** Version of this copy of the library. */
export function libraryVersion(): string {
  // Two levels up from here, in the sources as in the build.
  const { version } = createRequire(import.meta.url)('../../package.json') as { readonly version: string };
  return version;
}
