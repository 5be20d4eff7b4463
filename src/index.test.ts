import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const STATIC_IMPORT = /^(?:import|export)\s+(?!type\b)[^;]*?from\s+'(\.[^']+)'/gm;

/** Files that a module loads as soon as it is imported; types and dynamic imports load nothing. */
function loadedBy(url: URL, seen: Set<string> = new Set()): Set<string> {
  const path = fileURLToPath(url);
  if (seen.has(path)) return seen;
  seen.add(path);
  for (const [, specifier] of readFileSync(path, 'utf8').matchAll(STATIC_IMPORT)) {
    loadedBy(new URL(specifier as string, url), seen);
  }
  return seen;
}

test('importing celeriac loads neither the worker nor a driver', () => {
  const files = [...loadedBy(new URL('./index.ts', import.meta.url))].map((file) => file.split('/src/')[1]);
  expect(files).toContain('app/celery.ts');
  const heavy =
    /^(?:worker|pools|cli|testing|beat)\/|^transports\/(?!drivers|failover|transport)|^backends\/(?!drivers|backend)/;
  expect(files.filter((file) => heavy.test(file ?? ''))).toEqual([]);
});
