import { defineConfig } from 'tsdown';

export default defineConfig({
  entry: [
    'src/index.ts',
    'src/worker/index.ts',
    'src/beat/index.ts',
    'src/beat/django/index.ts',
    'src/testing/index.ts',
    'src/events/index.ts',
    'src/messaging/index.ts',
    'src/diagnostics/{otel,prometheus}.ts',
    'src/cli/main.ts',
    'src/pools/child.ts',
    'src/transports/{sqlite,redis,amqp}/index.ts',
    'src/transports/memory.ts',
    'src/backends/{memory,sqlite,redis}.ts',
    'src/serializers/index.ts',
  ],
  format: ['esm', 'cjs'],
  // What entries share goes into chunks: an import of 35 files takes half the time of one of 170.
  unbundle: false,
  outputOptions: (options) => {
    const { chunkFileNames: name } = options;
    const chunkFileNames: typeof name = (chunk) => `chunks/${typeof name === 'function' ? name(chunk) : name}`;
    return { ...options, chunkFileNames };
  },
  dts: true,
  platform: 'node',
  target: 'node20.19',
  fixedExtension: false,
});
