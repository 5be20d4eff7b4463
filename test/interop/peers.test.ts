import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { silentLogger, type Logger } from '../../src/runtime/logger.ts';
import { Worker, type WorkerOptions } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { celeryCli, pythonWorker, type PythonSide, type PythonWorker } from '../support/python.ts';
import { until } from '../support/until.ts';

/*
 * Workers that know of each other: ours and Python Celery's, on a real Redis.
 */

const reason = missing('redis') ?? missing('python');

describe.skipIf(reason !== undefined)(`peers on Redis${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let redis: RedisServer;
  let side: PythonSide;
  let python: PythonWorker;
  const closers: (() => Promise<void>)[] = [];
  /** What any of our workers said. */
  const said: string[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    side = { broker: redis.url(0), backend: redis.url(1) };
    python = await pythonWorker(side, { name: 'py@test', queues: 'py' });
  });

  afterAll(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
    await python?.[Symbol.asyncDispose]();
    await redis?.stop();
  });

  async function start(name: string, options: WorkerOptions = {}) {
    const lines: string[] = [];
    const keep = (_: object, message: string): void => void (lines.push(message), said.push(message));
    const log: Logger = { ...silentLogger, info: keep, warn: keep, error: keep, child: () => log };
    const app = new Celery({ broker: redis.url(0), backend: redis.url(1), env: {}, log });
    const ran: string[] = [];
    app.task('ts.note', (text: string) => void ran.push(text));
    const worker = new Worker(app, { hostname: name, queues: [`of.${name}`], ...options });
    closers.push(async () => {
      await worker.stop('cold');
      await app.close();
    });
    await worker.start();
    return { app, worker, lines, ran };
  }

  test('mingle: what is revoked anywhere is known to who starts later, in both directions; so is the time', async () => {
    const revoked = await celeryCli(side, 'control', 'revoke', 'known-to-python');
    expect(revoked.code).toBe(0);
    const { app, lines, ran } = await start('ts1@test');
    expect(lines).toContain('mingle: sync complete');
    const inspect = app.control.inspect({ destination: ['ts1@test'], timeout: '10s' });
    expect((await inspect.revoked())?.['ts1@test']).toContain('known-to-python');
    const clock = async (node: string): Promise<number> => {
      const [reply] = await app.control.broadcast('clock', {}, { reply: true, destination: [node], timeout: '10s' });
      return (reply as { value: { clock: number } }).value.clock;
    };
    // Not more than a few events behind the other.
    expect(await clock('ts1@test')).toBeGreaterThan((await clock('py@test')) - 100);
    await app.send('ts.note', ['revoked'], { queue: 'of.ts1@test', taskId: 'known-to-python' });
    await app.send('ts.note', ['wanted'], { queue: 'of.ts1@test' });
    await until(() => ran.includes('wanted'), { message: 'the other task runs' });
    expect(ran).toEqual(['wanted']);

    await app.control.revoke('known-to-us', { destination: 'ts1@test', reply: true, timeout: '10s' });
    await using second = await pythonWorker(side, { name: 'py2@test', queues: 'py2' });
    expect(second.log()).toContain('mingle: sync complete');
    const known = await celeryCli(side, 'inspect', 'revoked', '-d', 'py2@test', '--timeout', '10');
    expect(known.stdout).toContain('known-to-us');
  });

  test('--without-mingle: nobody is asked', async () => {
    const { app, lines } = await start('ts2@test', { withoutMingle: true, withoutGossip: true });
    expect(lines.filter((line) => line.includes('mingle'))).toEqual([]);
    expect((await app.control.inspect({ destination: ['ts2@test'], timeout: '10s' }).revoked())?.['ts2@test']).toEqual(
      [],
    );
  });

  test('gossip: who comes, leaves and is lost', async () => {
    const { worker } = await start('ts3@test');
    const seen: string[] = [];
    for (const change of ['join', 'leave', 'lost'] as const) {
      worker.cluster.on(change, ({ hostname }) => seen.push(`${change} ${hostname}`));
    }
    const other = await start('ts4@test', { heartbeatInterval: '500ms' });
    await until(() => seen.includes('join ts4@test'), { message: 'our worker came' });
    await until(() => worker.cluster.members.some(({ hostname }) => hostname === 'py@test'), {
      message: 'Python is known',
    });
    await other.worker.stop();
    await until(() => seen.includes('leave ts4@test'), { message: 'our worker left' });
    await using doomed = await pythonWorker(side, { name: 'py3@test', queues: 'py3' });
    await until(() => seen.includes('join py3@test'), { message: 'Python’s worker came' });
    const gone = once(doomed.process, 'exit');
    process.kill(-(doomed.process.pid as number), 'SIGKILL');
    await gone;
    await until(() => seen.includes('lost py3@test'), { message: 'Python’s worker is lost', timeoutMs: 30_000 });
    expect(seen).not.toContain('lost ts4@test');
    expect(worker.cluster.members.map(({ hostname }) => hostname)).not.toContain('py3@test');
  });

  test('an election among Python’s workers and ours: one acts, once', async () => {
    const ours = [await start('ts5@test', { queues: ['votes'] }), await start('ts6@test', { queues: ['votes'] })];
    const { app, ran } = ours[0] as (typeof ours)[0];
    for (const { worker } of ours) {
      await until(() => worker.cluster.members.some(({ hostname }) => hostname === 'py@test'), {
        message: 'Python is known',
      });
    }
    for (let round = 0; round < 5; round++) {
      const action = app.signature({
        task: 'ts.note',
        args: [`round ${round}`],
        kwargs: {},
        options: { queue: 'votes' },
        subtask_type: null,
        immutable: false,
      });
      const elected = await action.elect();
      const all = (): string[] =>
        [ran, ...ours.slice(1).map((one) => one.ran)].flat().filter((text) => text === `round ${round}`);
      await until(() => all().length > 0, { message: `round ${round} was decided`, timeoutMs: 20_000 });
      expect(await elected.get({ timeout: '20s' })).toBeNull();
      // Whoever might have acted besides would have sent before this.
      await app.control.ping({ timeout: '10s', limit: 3 });
      expect(all()).toHaveLength(1);
    }
    const wins = (): number =>
      [...said, ...python.log().split('\n')].filter((line) => line.includes('I won the election')).length;
    await until(() => wins() >= 5, { message: 'every winner has said so' });
    expect(wins()).toBe(5);
  });

  test('a second worker with the same node name is noticed by both', async () => {
    const first = await start('twin@test');
    const second = await start('twin@test');
    const warned = (lines: readonly string[]): boolean => lines.some((line) => line.includes('same node name'));
    await until(() => warned(second.lines), { message: 'the second notices', timeoutMs: 20_000 });
    expect(warned(first.lines)).toBe(false);
  });
});
