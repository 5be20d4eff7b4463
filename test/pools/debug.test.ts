import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { start } from './support.ts';

test('a dump says where a blocked child is, what runs and what waits', { timeout: 120_000 }, async () => {
  const { app, worker } = await start({ pool: 'process', concurrency: 1 });
  const idle = /^== w@pools, process \d+: 0 tasks run.*\n== process \d+: waits ==\n== event loop: /;
  await until(async () => idle.test(await worker.dump()), { message: 'the child waits', timeoutMs: 60_000 });
  const busy = await app.send('spin', [120_000], { argsRepr: '[20 seconds]' });
  await until(() => worker.active === 1, { message: 'it runs', timeoutMs: 60_000 });
  const text = await until(
    async () => {
      const dumped = await worker.dump();
      return dumped.includes('app.ts:') && dumped;
    },
    { message: 'the stack of the child', timeoutMs: 60_000 },
  );
  expect(text).toMatch(new RegExp(`spin\\[${busy.id}\\] for \\d+\\.\\d s, process \\d+ {2}\\[20 seconds\\]`));
  expect(text).toMatch(/== process \d+ ==\n(?: {2}at .*\n)* {2}at (?:.* \()?file:.*test\/pools\/app\.ts:\d+:\d+/);
  expect(text).toMatch(/== memory: \d+ MB resident/);
  expect(worker.processes).toHaveLength(1);
});

test('a dump of threads has their tasks', async () => {
  const { app, worker } = await start({ pool: 'thread', concurrency: 1 });
  const sleeping = await app.send('sleeps', [60_000]);
  await until(() => worker.active === 1, { message: 'it runs', timeoutMs: 60_000 });
  expect(await worker.dump()).toMatch(new RegExp(`\\n  sleeps\\[${sleeping.id}\\] for [^]*\n== event loop`));
});

test(
  'a task lets a debugger in: its process pauses, and goes on when it is told to',
  { timeout: 180_000 },
  async () => {
    const { app, lines } = await start({ pool: 'process', concurrency: 1 });
    const paused = await app.send('paused', []);
    const line = await until(() => lines.find(({ message }) => message.startsWith('debugger listens')), {
      message: 'the debugger listens',
      timeoutMs: 60_000,
    });
    const address = String(line.fields['address']);
    expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
    const client = spawn(process.execPath, ['inspect', address], { stdio: ['pipe', 'pipe', 'pipe'] });
    let shown = '';
    for (const stream of [client.stdout, client.stderr]) stream.on('data', (chunk: Buffer) => (shown += String(chunk)));
    try {
      // It pauses in our own function first; two steps out of it is the task.
      await until(() => shown.includes('break in') && shown.includes('debug>'), {
        message: 'the debugger pauses',
        timeoutMs: 60_000,
      });
      expect(shown).toContain('inspector.');
      client.stdin.write('cont\n');
      expect(await paused.get({ timeout: '30s' })).toBe('went on');
    } finally {
      client.kill('SIGKILL');
      if (client.exitCode === null && client.signalCode === null) await once(client, 'exit');
    }
  },
);

test('a thread cannot be paused by itself, and says so', async () => {
  const { app } = await start({ pool: 'thread', concurrency: 1 });
  const error = (await app
    .send('paused', [])
    .then((result) => result.get({ timeout: '30s' }).catch((one) => one))) as Error;
  expect(error.message).toContain('a thread cannot be debugged by itself');
});
