import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createBackend } from '../../src/backends/sqlite.ts';
import { Celery } from '../../src/index.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { parseSqliteUrl } from '../../src/sqlite/url.ts';
import { resultCodec } from '../../src/protocol/result.ts';
import { createSerializers } from '../../src/serializers/registry.ts';
import { backendContract } from '../../src/testing/backend-contract.ts';
import { transportContract } from '../../src/testing/transport-contract.ts';
import { createTransport } from '../../src/transports/sqlite/index.ts';
import { Worker } from '../../src/worker/index.ts';

const context = { clock: systemClock, random: systemRandom(), log: silentLogger };

function folder(): { readonly url: string; dispose(): Promise<void> } {
  const path = mkdtempSync(join(tmpdir(), 'celeriac-sqlite-'));
  return {
    url: `sqlite:///${join(path, 'broker.db')}`,
    dispose: async () => rmSync(path, { recursive: true, force: true }),
  };
}

transportContract({ describe, test }, 'sqlite', async () => {
  const { url, dispose } = folder();
  return { transport: createTransport(url, {}, context), second: createTransport(url, {}, context), dispose };
});

describe.each(['json', 'msgpack'])('results as %s', (format) => {
  backendContract({ describe, test }, 'sqlite', async () => {
    const { url, dispose } = folder();
    const codec = resultCodec(createSerializers(), format, [format]);
    const options = { expiresMs: 60_000, transportOptions: {}, codec };
    return { backend: createBackend(url, options, context), second: createBackend(url, options, context), dispose };
  });
});

test.each([
  ['sqlite:////abs/x.db', '/abs/x.db'],
  ['sqlite:///rel/x.db', join(process.cwd(), 'rel/x.db')],
  ['sqlite://', join(process.cwd(), '.celeriac/celeriac.db')],
  ['sqlite:///a%20b.db?synchronous=FULL', join(process.cwd(), 'a b.db')],
])('%s is the file %s', (url, file) => {
  expect(parseSqliteUrl(url).file).toBe(file);
});

test('a URL with a host is refused', () => {
  expect(() => parseSqliteUrl('sqlite://host/x.db')).toThrow(/expected sqlite:\/\/\//);
});

test('expired results are swept', async () => {
  const { url, dispose } = folder();
  await using backend = createBackend(url, { expiresMs: -1, transportOptions: {} }, context);
  await backend.store({ taskId: 'old', status: 'SUCCESS', result: 1, traceback: null, children: [], dateDone: null });
  expect(await backend.load('old')).toBeUndefined();
  expect(await backend.cleanup()).toBe(1);
  await backend.close();
  await dispose();
});

test('celery.backend_cleanup sweeps in a worker, and a task that waits there is refused', async () => {
  const { url, dispose } = folder();
  const backend = createBackend(url, { expiresMs: -1, transportOptions: {} }, context);
  await backend.store({ taskId: 'old', status: 'SUCCESS', result: 1, traceback: null, children: [], dateDone: null });
  const app = new Celery({ broker: url, backend: url, env: {} });
  const leaf = app.task('leaf', () => 1);
  app.task('waits', async () => (await leaf.delay()).get());
  app.task('may wait', async () => (await leaf.delay()).get({ allowInTask: true }));
  const worker = new Worker(app, { concurrency: 4 });
  await worker.start();
  await (await app.send('celery.backend_cleanup')).get({ timeout: '30s' });
  expect(await backend.cleanup()).toBe(0);
  await expect((await app.send('waits')).get({ timeout: '30s' })).rejects.toThrow(/allowInTask/);
  expect(await (await app.send('may wait')).get({ timeout: '30s' })).toBe(1);
  await worker.stop('cold');
  await app.close();
  await backend.close();
  await dispose();
});
