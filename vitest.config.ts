import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const src = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^celeriac$/, replacement: src('index.ts') },
      { find: /^celeriac\/worker$/, replacement: src('worker/index.ts') },
      { find: /^celeriac\/messaging$/, replacement: src('messaging/index.ts') },
      { find: /^celeriac\/testing$/, replacement: src('testing/index.ts') },
    ],
  },
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: 'test/support/global-setup.ts',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
