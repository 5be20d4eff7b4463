import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { Printer } from '../../src/cli/logging/printer.ts';
import { textFormat } from '../../src/cli/logging/text-format.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { celeryCli, pythonWorker, type PythonSide, type PythonWorker } from '../support/python.ts';
import { until } from '../support/until.ts';

/*
 * The same tasks on both sides: what the log says of them, and commands of remote control that only our worker has.
 */

const reason = missing('redis') ?? missing('python');

/** Python's name. */
class ValueError extends Error {
  override readonly name = 'ValueError';
}
class KeyError extends Error {
  override readonly name = 'KeyError';
}

describe.skipIf(reason !== undefined)(`the log${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let redis: RedisServer;
  let python: PythonWorker;
  let side: PythonSide;
  let app: Celery;
  let worker: Worker;
  let log = '';
  const level: unknown[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    side = { broker: redis.url(0), backend: redis.url(1) };
    const printer = new Printer({
      output: { write: (text) => (log += text) },
      clock: systemClock,
      level: 'info',
      format: textFormat({ colours: false }),
    });
    app = new Celery({ broker: redis.url(0), backend: redis.url(1), env: {}, log: printer, taskAcksLate: true });
    app.task('py.add', (x: number, y: number) => x + y);
    app.task('py.fail', (text: string) => {
      throw new ValueError(text);
    });
    app.task('py.flaky', { bind: true, maxRetries: 3 }, (ctx, wanted: number) => {
      if (ctx.retries < wanted) throw ctx.retry({ countdown: '200ms', cause: new KeyError('not yet') });
      return ctx.retries;
    });
    app.controlCommand('ts_level', { args: { level: 'number' } }, (at, args) => {
      level.push(args.level);
      return { ok: `${at.hostname} is at ${args.level}` };
    });
    app.inspectCommand('ts_place', {}, ({ active }) => ({ running: active.length }));
    worker = new Worker(app, { hostname: 'ts@test', queues: ['ts'] });
    [python] = await Promise.all([pythonWorker(side, { name: 'py@test', queues: 'py' }), worker.start()]);
  });

  afterAll(async () => {
    await worker?.stop('cold');
    await app?.close();
    await python?.[Symbol.asyncDispose]();
    await redis?.stop();
  });

  /** Lines about one task without times, processes and ids. */
  const linesOf = (text: string, id: string): string[] =>
    text
      .split('\n')
      .filter((line) => line.includes(id))
      .map((line) =>
        line
          .replace(/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: (\w+)\/\w+\]/, '[TIME: $1]')
          .replace(id, 'ID')
          .replace(/ in [\d.e-]+s: /, ' in N s: '),
      );

  test.each([
    ['py.add', [2, 3], /succeeded/],
    ['py.fail', ['it broke'], /raised/],
    ['py.flaky', [1], /succeeded/],
  ] as const)('of %s says the same', async (name, args, over) => {
    const said: string[][] = [];
    for (const [queue, text] of [
      ['py', () => python.log()],
      ['ts', () => log],
    ] as const) {
      const { id } = await app.send(name, [...args], { queue });
      const lines = await until(
        () => {
          const found = linesOf(text(), id);
          return found.some((line) => over.test(line)) ? found : undefined;
        },
        { message: `${queue} logs its end`, timeoutMs: 30_000 },
      );
      said.push(lines.sort());
    }
    expect(said[1]).toEqual(said[0]);
    expect(said[0]?.length).toBeGreaterThan(1);
  });

  test('Python’s command line lists and calls commands that our worker has', async () => {
    const listed = await celeryCli(side, 'control', '--list');
    expect(listed.stdout).toMatch(/ts_level <level>\s+Set the level/);
    const set = await celeryCli(side, 'control', '-d', 'ts@test', '-t', '10', '--json', 'ts_level', '3');
    expect(JSON.parse(set.stdout)).toEqual([{ 'ts@test': { ok: 'ts@test is at 3' } }]);
    expect(level).toEqual([3]);
    const asked = await celeryCli(side, 'inspect', '-d', 'ts@test', '-t', '10', '--json', 'ts_place');
    expect(JSON.parse(asked.stdout)).toEqual({ 'ts@test': { running: 0 } });
  });
});
