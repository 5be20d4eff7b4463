import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import type { Logger } from '../../src/index.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
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

test('what a task writes to standard output is a line of its own; what others write is theirs', async () => {
  const before = process.stdout.write;
  const { app, stop, err } = await started([], (one) => {
    one.task('prints', async () => {
      process.stdout.write('straight out\n');
      console.table([{ a: 1 }]);
    });
  });
  const { id } = await app.send('prints');
  await until(() => err().includes(`prints[${id}] succeeded`), { message: 'it ran' });
  expect(await stop()).toBe(0);
  expect(err()).toContain(`WARNING/MainProcess] prints[${id}]: straight out\n`);
  expect(err()).toContain(`prints[${id}]: ┌─`);
  expect(process.stdout.write).toBe(before);
});

test('without workerHijackRootLogger only tasks lose their console', async () => {
  const { app, stop, err } = await started(['worker.hijack_root_logger=false'], (one) => {
    one.task('talk', () => console.log('from a task'));
  });
  console.log('from the program');
  const { id } = await app.send('talk');
  await until(() => err().includes(`talk[${id}] succeeded`), { message: 'it ran' });
  await stop();
  expect(err()).toContain(`talk[${id}]: from a task`);
  expect(err()).not.toContain('from the program');
});

test('a sink of your own gets what Celery gives as extra: id, name, arguments, runtime, result', async () => {
  const records: Readonly<Record<string, unknown>>[] = [];
  const sink = (bound: object): Logger => ({
    ...silentLogger,
    info: (fields, message) => void records.push({ ...bound, ...fields, message }),
    child: (more) => sink({ ...bound, ...more }),
    isLevelEnabled: () => true,
  });
  const { app, stop } = await started(['-q'], (one) => {
    one.on('setupLogging', ({ attach }) => attach(sink({})));
    one.task('pay', { params: ['amount', 'token'] }, (amount: number, _token: string) => amount);
  });
  const { id } = await app.send('pay', [7, 'tok_1']);
  await until(() => records.some(({ message }) => message === 'task succeeded'), { message: 'it ran' });
  await stop();
  const about = { taskId: id, task: 'pay', args: "(7, '********')", kwargs: '{}' };
  expect(records).toContainEqual(expect.objectContaining({ ...about, message: 'task received', eta: null }));
  expect(records).toContainEqual(
    expect.objectContaining({
      ...about,
      message: 'task succeeded',
      runtime: expect.any(Number) as number,
      result: '7',
    }),
  );
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
