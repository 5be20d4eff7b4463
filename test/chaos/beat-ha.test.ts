import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { openSchedule } from '../../src/beat/index.ts';
import { Celery } from '../../src/index.ts';
import { seededRandom, type Random } from '../../src/runtime/random.ts';
import { startRedis } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { startMariadb, startPostgres } from '../support/sql-servers.ts';
import { freeze } from '../support/freeze.ts';
import { until } from '../support/until.ts';

/*
 * Several beats of one schedule; their leader is killed, or stopped and woken again later.
 * `CELERIAC_CHAOS=full` does it more often.
 */

const full = process.env['CELERIAC_CHAOS'] === 'full';
const SCRIPT = fileURLToPath(new URL('../beat/ha-process.ts', import.meta.url));
const SEED = Number(process.env['CELERIAC_SEED'] ?? 20_261_125);
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface BeatProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  /** What it logged about leading, oldest first. */
  readonly log: string[];
}

async function startBeat(broker: string, store: string): Promise<BeatProcess> {
  const child = spawn(process.execPath, ['--import', 'tsx', SCRIPT, broker, store], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  closers.push(() => void child.kill('SIGKILL'));
  const log: string[] = [];
  createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }).on('line', (line) => log.push(line));
  await until(() => log.includes('ready') || child.exitCode !== null, { message: 'a beat starts', timeoutMs: 60_000 });
  expect(child.exitCode).toBeNull();
  return { child, pid: child.pid as number, log };
}

interface Run {
  readonly id: string;
  readonly pid: number;
  readonly sentMs: number;
}

/** Takes what was sent from the broker, in its order. */
class Sent {
  readonly runs: Run[] = [];
  readonly #app: Celery;

  constructor(app: Celery) {
    this.#app = app;
  }

  async drain(): Promise<number> {
    await using connection = await (await this.#app.transport()).connect();
    const channel = await connection.channel();
    for (let next = await channel.get('celery'); next; next = await channel.get('celery')) {
      const { id, origin, argsrepr } = next.message.headers as Record<string, string>;
      this.runs.push({
        id: String(id),
        pid: Number(/^gen(\d+)@/.exec(String(origin))?.[1]),
        sentMs: Number(/\d+/.exec(String(argsrepr))?.[0]),
      });
      await next.ack();
    }
    return this.runs.length;
  }

  of(pid: number): number {
    return this.runs.filter((run) => run.pid === pid).length;
  }
}

/** Locks of a database's server end by themselves: those moments count. */
function stop(child: ChildProcess, urls: readonly string[], random: Random): Promise<void> {
  const files = urls.filter((url) => url.startsWith('sqlite:///')).map((url) => url.slice('sqlite:///'.length));
  return freeze(child, files, random);
}

async function ordeal(broker: string, store: string, rounds: number): Promise<void> {
  const app = new Celery({ broker, backend: 'disabled://', env: {} });
  closers.push(() => app.close());
  const sent = new Sent(app);
  const random = seededRandom(SEED);
  const beats = await Promise.all([0, 1, 2].map(() => startBeat(broker, store)));
  const progress = async (message: string): Promise<void> => {
    const target = (await sent.drain()) + 3;
    await until(async () => (await sent.drain()) >= target, { message, timeoutMs: 60_000 });
  };
  const leader = async (): Promise<BeatProcess> => {
    await progress('somebody sends');
    const { pid } = sent.runs.at(-1) as Run;
    return beats.find((beat) => beat.pid === pid) as BeatProcess;
  };
  let [kills, stops] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    const old = await leader();
    // At no particular moment of what it does.
    const moment = random.next() * 60;
    await new Promise((resolve) => setTimeout(resolve, moment));
    if (round % 2 === 0) {
      kills++;
      old.child.kill('SIGKILL');
      await once(old.child, 'exit');
      await until(async () => (await sent.drain(), sent.runs.at(-1)?.pid !== old.pid), {
        message: 'another beat sends',
        timeoutMs: 60_000,
      });
      beats[beats.indexOf(old)] = await startBeat(broker, store);
    } else {
      stops++;
      const lines = old.log.length;
      await stop(old.child, [broker, store], random);
      await until(async () => (await sent.drain(), sent.runs.at(-1)?.pid !== old.pid), {
        message: 'another beat sends',
        timeoutMs: 60_000,
      });
      await progress('the other goes on');
      const before = sent.of(old.pid);
      old.child.kill('SIGCONT');
      await until(() => old.log.slice(lines).some((line) => line.includes('no longer leading')), {
        message: 'the old leader notices',
        timeoutMs: 60_000,
      });
      await progress('the new leader is not disturbed');
      // Nothing old leaves it. (Elected again it may send: then its log says so.)
      if (!old.log.slice(lines).some((line) => line.includes('beat: leading'))) {
        expect(sent.of(old.pid)).toBe(before);
      }
    }
  }
  for (const { child } of beats) child.kill('SIGTERM');
  await until(() => beats.every(({ child }) => child.exitCode !== null || child.signalCode !== null), {
    message: 'all beats end',
    timeoutMs: 60_000,
  });
  await sent.drain();
  await using schedule = await openSchedule(app, { scheduler: store });
  // The entry is no longer configured here, and so not listed; its state is.
  await schedule.add('tick', { task: 'math.tick', schedule: 1 });
  const decided = (await schedule.get('tick')).totalRunCount;
  const ids = sent.runs.map(({ id }) => id);
  const unique = new Set(ids).size;
  const gaps = sent.runs.slice(1).map((run, i) => run.sentMs - (sent.runs[i] as Run).sentMs);
  console.log(
    `beats on ${store.replace(/:.*/, '')}: ${kills} leaders killed, ${stops} stopped and woken; ${decided} runs decided, ` +
      `${unique} sent, ${ids.length - unique} twice; longest silence ${Math.max(...gaps)} ms with a lease of 2000 ms`,
  );
  expect(unique).toBe(decided);
  expect(ids.length).toBe(unique);
}

const rounds = full ? 20 : 2;

function embeddedBroker(): string {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-ha-'));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  return `sqlite:///${folder}/broker.db`;
}

describe('beats that share a schedule', () => {
  test('elect one in SQLite', { timeout: 600_000 }, async () => {
    const broker = embeddedBroker();
    await ordeal(broker, broker.replace('broker.db', 'schedule.db'), rounds);
  });

  test.skipIf(missing('redis') !== undefined)('elect one in Redis', { timeout: 600_000 }, async () => {
    const server = await startRedis();
    closers.push(() => server.stop());
    await ordeal(server.url(), server.url(), rounds);
  });

  test.skipIf(missing('postgresql') !== undefined)('elect one in PostgreSQL', { timeout: 600_000 }, async () => {
    const server = await startPostgres();
    closers.push(() => server[Symbol.asyncDispose]());
    await ordeal(embeddedBroker(), server.url, rounds);
  });

  test.skipIf(missing('mariadb') !== undefined)('elect one in MariaDB', { timeout: 600_000 }, async () => {
    const server = await startMariadb();
    closers.push(() => server[Symbol.asyncDispose]());
    await ordeal(embeddedBroker(), server.url, rounds);
  });
});
