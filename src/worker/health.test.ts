import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Celery, ImproperlyConfigured } from '../index.ts';
import { HealthServer } from './health.ts';
import { Worker } from './worker.ts';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-health-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ask = (to: object, path: string, method = 'GET'): Promise<{ status: number; body: unknown }> =>
  new Promise((resolve, reject) => {
    request({ ...to, path, method }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text || 'null') }));
    })
      .on('error', reject)
      .end();
  });

test('ready means: proven to consume', async () => {
  await using app = new Celery({ broker: 'memory://' });
  await using worker = new Worker(app, { hostname: 'w@h', concurrency: 3 });
  await using health = new HealthServer(worker, { listen: '127.0.0.1:0' });
  await health.start();
  const [host, port] = (health.address as string).split(':');
  const at = { host, port };
  expect(await ask(at, '/live')).toEqual({ status: 200, body: { worker: 'w@h', live: true } });
  expect(await ask(at, '/ready')).toEqual({ status: 503, body: { worker: 'w@h', ready: false, state: 'starting' } });
  await worker.start();
  expect(await ask(at, '/ready?x=1')).toMatchObject({
    status: 200,
    body: { worker: 'w@h', ready: true, state: 'consuming', slots: 3, active: 0, connects: 1 },
  });
  await worker.stop();
  expect(await ask(at, '/ready')).toMatchObject({ status: 503, body: { ready: false, state: 'closed' } });
  expect(await ask(at, '/live')).toMatchObject({ status: 200 });
  expect(await ask(at, '/metrics')).toMatchObject({
    status: 404,
    body: { error: expect.stringContaining('prom-client') },
  });
  expect((await ask(at, '/else')).status).toBe(404);
  expect((await ask(at, '/live', 'POST')).status).toBe(405);
});

test('a Unix socket; a stale one is replaced, one that is served is not', async () => {
  const path = join(folder, 'health.sock');
  writeFileSync(path, '');
  const worker = { hostname: 'w@h', vitals: undefined };
  await using health = new HealthServer(worker, { listen: path });
  await health.start();
  expect(health.address).toBe(path);
  expect((await ask({ socketPath: path }, '/live')).status).toBe(200);
  await using second = new HealthServer(worker, { listen: path });
  await expect(second.start()).rejects.toThrow(/EADDRINUSE/);
  expect((await ask({ socketPath: path }, '/live')).status).toBe(200);
  await health.close();
  await health.close();
});

test.each(['99999', 'port', '127.0.0.1:', ''])('"%s" is no place to listen', async (listen) => {
  await expect(new HealthServer({ hostname: 'w', vitals: undefined }, { listen }).start()).rejects.toThrow(
    ImproperlyConfigured,
  );
});
