import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import type { Logger } from '../../src/index.ts';
import { run } from '../../src/cli/program.ts';
import { until } from '../support/until.ts';
import { testIo } from './io.ts';

const FILE = fileURLToPath(new URL('./hello-app.mjs', import.meta.url));

async function started(argv: readonly string[], prepare: (app: App) => void) {
  vi.resetModules();
  const { app } = await import('./hello-app.mjs');
  prepare(app);
  const world = testIo();
  const ready = new Promise<void>((resolve) => void app.on('workerReady', () => resolve()));
  const ended = run(['worker', '-A', FILE, '-n', 'w1@here', ...argv], world.io);
  await ready;
  const stop = async (): Promise<number> => {
    world.signals.emit('SIGTERM', 'SIGTERM');
    return ended;
  };
  return { app, stop, ...world };
}

type App = typeof import('./hello-app.mjs').app;

test('console and ctx.log inside a task are lines of the log, with its name and id', async () => {
  const before = console.log;
  const { app, stop, err } = await started([], (one) => {
    one.task('talk', { bind: true }, (ctx) => {
      console.log('hello', { n: 1 });
      ctx.log.error({ password: 'hunter2', nested: { apiKey: 'k' }, url: 'redis://u:pw@h/0' }, 'careful');
    });
  });
  const { id } = await app.send('talk');
  await until(() => err().includes(`talk[${id}] succeeded`), { message: 'it ran' });
  expect(await stop()).toBe(0);
  expect(err()).toContain(`WARNING/MainProcess] talk[${id}]: hello { n: 1 }\n`);
  expect(err()).toMatch(/ERROR\/MainProcess\] talk\[\S+\]: careful password=\*{8} nested=\{ apiKey: '\*{8}' \}/);
  expect(err()).not.toMatch(/hunter2|pw@|'k'/);
  expect(console.log).toBe(before);
});

test('workerRedirectStdouts off leaves the console alone', async () => {
  const before = console.log;
  const { stop } = await started(['worker.redirect_stdouts=false'], () => {});
  expect(console.log).toBe(before);
  await stop();
});

test('the order of signals, from set-up to the end', async () => {
  const seen: string[] = [];
  const names = [
    'afterSetupLogger',
    'afterSetupTaskLogger',
    'celerydInit',
    'celerydAfterSetup',
    'workerInit',
    'workerReady',
    'workerShuttingDown',
    'workerShutdown',
  ] as const;
  const { stop } = await started(['-q'], (app) => {
    for (const name of names) app.on(name, ({ sender }) => seen.push(`${name} ${sender}`));
  });
  await stop();
  expect(seen).toEqual(names.map((name) => `${name} w1@here`));
});

test('setupLogging replaces the log: a pino logger, as it is', async () => {
  const lines: Record<string, unknown>[] = [];
  const own: Logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line) as never) });
  const { app, stop, err } = await started(['-l', 'debug'], (one) => {
    one.on('setupLogging', ({ attach, loglevel }) => {
      expect(loglevel).toBe('debug');
      attach(own);
    });
  });
  const handle = await app.send<number>('math.add', [2, 3]);
  await handle.get({ timeout: '5s' });
  await stop();
  expect(err()).toBe('');
  expect(lines).toContainEqual(
    expect.objectContaining({
      level: 30,
      worker: 'w1@here',
      taskId: handle.id,
      task: 'math.add',
      msg: 'task received',
    }),
  );
  expect(lines).toContainEqual(expect.objectContaining({ taskId: handle.id, msg: 'task succeeded', result: '5' }));
  expect(lines.some(({ level }) => level === 20)).toBe(false);
});
