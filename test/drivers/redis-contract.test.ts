import { afterAll, beforeAll } from 'vitest';
import { createBackend } from '../../src/backends/redis.ts';
import { resultCodec } from '../../src/protocol/result.ts';
import { createSerializers } from '../../src/serializers/registry.ts';
import { backendContract } from '../../src/testing/backend-contract.ts';
import { transportContract } from '../../src/testing/transport-contract.ts';
import { context, type RedisServer, startRedis, transport } from './redis-support.ts';
import { describe, test } from './redis-suite.ts';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const VARIANTS: [string, number, Record<string, unknown>][] = [
  ['redis', 0, {}],
  ['redis with global_keyprefix', 0, { global_keyprefix: '{tenant}:' }],
  ['redis in database 5', 5, {}],
];

for (const [name, db, options] of VARIANTS) {
  transportContract({ describe, test }, name, async () => {
    await server.client(db).flushdb();
    const url = server.url(db);
    return { transport: transport(url, options), second: transport(url, options), dispose: async () => {} };
  });
  backendContract({ describe, test }, name, async () => {
    await server.client(db).flushdb();
    const open = () => createBackend(server.url(db), { expiresMs: 60_000, transportOptions: options }, context());
    return { backend: open(), second: open(), dispose: async () => {} };
  });
}

backendContract({ describe, test }, 'redis with results in MessagePack', async () => {
  await server.client(0).flushdb();
  const codec = resultCodec(createSerializers(), 'msgpack', ['msgpack']);
  const open = () => createBackend(server.url(0), { expiresMs: 60_000, transportOptions: {}, codec }, context());
  return { backend: open(), second: open(), dispose: async () => {} };
});
