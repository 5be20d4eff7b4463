import { defineConfig } from 'tsdown';

export default defineConfig({
  entry: [
    'src/index.ts',
    'src/worker/index.ts',
    'src/testing/index.ts',
    'src/cli/main.ts',
    'src/transports/*/index.ts',
    'src/transports/memory.ts',
    'src/backends/memory.ts',
    'src/backends/redis.ts',
    'src/backends/sqlite.ts',
    'src/serializers/index.ts',
  ],
  format: ['esm', 'cjs'],
  unbundle: true,
  dts: true,
  platform: 'node',
  target: 'node20.19',
  fixedExtension: false,
});
