import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Redis } from 'ioredis';
import { Celery } from '../../src/index.ts';
import { freePort, startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { until } from '../support/until.ts';

/*
 * Everything that a worker and the commands say at the level debug, through a start, a lost server, tasks that end in
 * every way, and a stop: no password in it.
 */

const reason = missing('redis');
const SECRET = 'hunter2';
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const APP = fileURLToPath(new URL('./secret-app.mjs', import.meta.url));

describe.skipIf(reason !== undefined)(`secrets${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let redis: RedisServer;
  beforeAll(async () => {
    const port = await freePort();
    const probe = (): Redis => new Redis({ port, host: '127.0.0.1', password: SECRET, retryStrategy: () => 20 });
    redis = await startRedis(['--requirepass', SECRET, '--appendonly', 'yes'], { port, probe });
  });
  afterAll(() => redis?.stop());

  function celeriac(...argv: string[]): {
    text: () => string;
    code: Promise<number | null>;
    kill: (s: NodeJS.Signals) => void;
  } {
    const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...argv], {
      env: { ...process.env, SECRET_URL: `redis://:${SECRET}@127.0.0.1:${redis.port}/0`, CELERY_BROKER_URL: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    return {
      text: () => text,
      code: once(child, 'exit').then(([code]) => code as number | null),
      kill: (signal) => void child.kill(signal),
    };
  }

  test('no password in the logs and reports of a whole run', async () => {
    const url = `redis://:${SECRET}@127.0.0.1:${redis.port}/0`;
    const worker = celeriac('worker', '-A', APP, '-l', 'debug', '-n', 'w@secrets');
    await until(() => worker.text().includes('ready'), { message: 'the worker is ready' });
    const app = new Celery({ broker: url, backend: url, env: {} });
    await expect((await app.send('fails')).get({ timeout: '20s' })).rejects.toThrow();
    expect(await (await app.send('retries')).get({ timeout: '20s' })).toBe(1);
    await app.send('nobody.knows', ['x']);
    await redis.kill();
    await until(() => worker.text().includes('trying again'), { message: 'the worker noticed' });
    await redis.restart();
    await until(
      () =>
        app.send('works').then(
          () => true,
          () => false,
        ),
      { message: 'the server is back' },
    );
    await until(() => worker.text().includes('Task works'), { message: 'the worker is back', timeoutMs: 30_000 });
    const said = [];
    for (const argv of [['report'], ['status'], ['inspect', 'stats'], ['inspect', 'conf'], ['call', 'works']]) {
      const command = celeriac('-A', APP, ...argv);
      expect(await command.code, `${argv.join(' ')}: ${command.text()}`).toBe(0);
      said.push(command.text());
    }
    const refused = celeriac('-b', `redis://:${SECRET}@127.0.0.1:${await freePort()}/0`, 'status');
    expect(await refused.code).not.toBe(0);
    said.push(refused.text());
    worker.kill('SIGTERM');
    expect(await worker.code).toBe(0);
    await app.close();
    const all = [worker.text(), ...said].join('\n');
    // The address is shown, its password is not.
    expect(all).toContain(`127.0.0.1:${redis.port}`);
    expect(all).not.toContain(SECRET);
  }, 180_000);
});
