import * as vitest from 'vitest';
import { missing } from '../support/available.ts';

const absent = missing('redis') !== undefined;

/** Vitest's own, skipped with all hooks of the file where there is no redis-server; the end of the run says why. */
export const test: typeof vitest.test = absent ? (vitest.test.skip as typeof vitest.test) : vitest.test;

/** As `test`. */
export const describe: typeof vitest.describe = absent
  ? (vitest.describe.skip as typeof vitest.describe)
  : vitest.describe;
