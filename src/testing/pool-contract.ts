import { Celery } from '../app/celery.ts';
import { NO_EMBED, taskRequest } from '../app/request.ts';
import type { RegisteredTask } from '../app/task.ts';
import type { Outcome, Success } from '../app/trace.ts';
import { DecodeError, Ignore, Reject, SoftTimeLimitExceeded, WorkerLostError } from '../errors.ts';
import { ChildLostError, NOT_RUN, type Job, type Pool } from '../pools/pool.ts';
import type { Message } from '../protocol/message.ts';
import type { TaskHeaders } from '../protocol/task-message.ts';
import { sleep, systemClock } from '../runtime/clock.ts';
import { Cancellation } from '../runtime/cancellation.ts';
import { dumps } from '../serializers/json.ts';
import { eventually } from './eventually.ts';
import { equal, holds, type Runner } from './runner.ts';

/** A pool to put to the test, started, with two slots or more unless it can have only one. */
export interface PoolSubject {
  readonly pool: Pool;
  /** Made by `poolContractApp()`; children load one like it. */
  readonly app: Celery;
  dispose(): Promise<void>;
}

/** The app whose tasks the contract runs. A module for children is one line: `export const app = poolContractApp();` */
export function poolContractApp(): Celery {
  const app = new Celery({ main: 'pool contract', broker: 'memory://', backend: 'memory://', env: {} });
  app.task('echo', (value: unknown) => value);
  app.task('fails', () => {
    throw new RangeError('too far');
  });
  app.task('ignores', () => {
    throw new Ignore();
  });
  app.task('rejects', () => {
    throw new Reject('not today', { requeue: true });
  });
  app.task('retries', { bind: true }, (ctx) => {
    throw ctx.retry({ countdown: '2s', cause: new RangeError('not yet') });
  });
  app.task('reports', { bind: true }, async (ctx) => {
    await ctx.update('HALFWAY', { at: 1 });
    return 'done';
  });
  app.task('waits', { bind: true }, async (ctx) => {
    await sleep(systemClock, 60_000, ctx.signal).catch(() => {});
    return (ctx.signal.reason as Error).name;
  });
  app.task('meets', async (ms: number) => {
    await sleep(systemClock, ms);
    return ms;
  });
  app.task('spins', () => {
    for (;;);
  });
  app.task('exits', () => process.exit(3));
  return app;
}

class ContractJob implements Job {
  readonly task: RegisteredTask;
  readonly headers: TaskHeaders;
  readonly message: Message;
  readonly body: Job['body'];
  readonly request: Job['request'];
  followed = false;
  accepted: number[] = [];
  wanted: boolean | Promise<boolean> = true;

  constructor(app: Celery, name: string, args: readonly unknown[], body?: Uint8Array) {
    this.task = app.tasks.get(name) as RegisteredTask;
    const id = app.random.uuid();
    this.headers = {
      lang: 'js',
      task: name,
      id,
      shadow: null,
      eta: null,
      expires: null,
      group: null,
      group_index: null,
      retries: 0,
      timelimit: [null, null],
      root_id: id,
      parent_id: null,
      argsrepr: '',
      kwargsrepr: '',
      origin: 'contract',
      ignore_result: null,
      replaced_task_nesting: 0,
      stamped_headers: null,
      stamps: {},
    };
    this.message = {
      body: body ?? Buffer.from(dumps([args, {}, NO_EMBED])),
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      headers: this.headers,
      properties: {},
    };
    const deliveryInfo = { exchange: '', routingKey: 'contract', priority: null, redelivered: false };
    this.body = undefined;
    this.request = taskRequest(this.headers, { args, kwargs: {}, embed: NO_EMBED }, { deliveryInfo });
  }

  accept(pid: number): boolean | Promise<boolean> {
    this.accepted.push(pid);
    return this.wanted;
  }
}

const valueOf = (outcome: Outcome): unknown => {
  equal(outcome.kind, 'success', 'outcome');
  return (outcome as Success).value;
};

async function rejection(run: Promise<unknown>): Promise<unknown> {
  try {
    await run;
  } catch (error) {
    return error;
  }
  return undefined;
}

/** What every pool has to do, third-party ones included. */
export function poolContract(runner: Runner, name: string, open: () => Promise<PoolSubject>): void {
  type Body = (pool: Pool, app: Celery) => Promise<void>;
  const check = (what: string, body: Body) =>
    runner.test(what, async () => {
      const { pool, app, dispose } = await open();
      try {
        await body(pool, app);
      } finally {
        await pool.close();
        await pool.close();
        await app.close();
        await dispose();
      }
    });
  const run = async (pool: Pool, app: Celery, task: string, ...args: unknown[]): Promise<Outcome> =>
    pool.run(new ContractJob(app, task, args), new Cancellation());

  runner.describe(`${name} pool`, () => {
    check('an outcome is what the handler led to', async (pool, app) => {
      const value = { text: 'ü €', list: [1, 2.5, null, true], deep: { a: { b: [] } } };
      equal(valueOf(await run(pool, app, 'echo', value)), value, 'value');
      const failed = await run(pool, app, 'fails');
      holds(failed.kind === 'failure', 'expected a failure');
      equal(failed.record, { exc_type: 'RangeError', exc_message: ['too far'], exc_module: 'js.errors' }, 'record');
      holds(failed.traceback.includes('too far') && failed.error instanceof Error, 'expected an error with its text');
      equal((await run(pool, app, 'ignores')).kind, 'ignore', 'ignored');
      const rejected = await run(pool, app, 'rejects');
      equal(rejected, { kind: 'reject', requeue: true, reason: 'not today' }, 'rejected');
      const retried = await run(pool, app, 'retries');
      holds(retried.kind === 'retry', 'expected a retry');
      equal([retried.retry.retries, retried.record?.exc_message], [1, ['not yet']], 'retry');
      holds(retried.retry.etaMs !== null && retried.error instanceof Error, 'expected a time and an error');
    });

    check('dates, bytes and big integers stay what they are', async (pool, app) => {
      const value = { at: new Date(86_400_000), bytes: Buffer.from([0, 255]), big: 2n ** 70n };
      const back = valueOf(await run(pool, app, 'echo', value)) as typeof value;
      equal([back.at.getTime(), [...back.bytes], String(back.big)], [86_400_000, [0, 255], String(2n ** 70n)], 'value');
    });

    check('accepts once, before the run, and does not run what is not wanted', async (pool, app) => {
      const job = new ContractJob(app, 'echo', [1]);
      let accepting = (_yes: boolean): void => {};
      job.wanted = new Promise((resolve) => (accepting = resolve));
      let over = false;
      const running = Promise.resolve(pool.run(job, new Cancellation())).finally(() => (over = true));
      await eventually(() => job.accepted.length > 0, 'accept was called');
      holds(!over, 'it ran before it was accepted');
      accepting(true);
      equal(valueOf(await running), 1, 'value');
      equal(job.accepted.length, 1, 'calls of accept');
      holds(pool.processes.includes(job.accepted[0] as number), 'accept was given a process that is not of the pool');
      const unwanted = new ContractJob(app, 'fails', []);
      unwanted.wanted = false;
      equal(await pool.run(unwanted, new Cancellation()), NOT_RUN, 'what was not wanted');
      equal(valueOf(await run(pool, app, 'echo', 2)), 2, 'value afterwards');
    });

    check('an abort reaches the signal with its reason', async (pool, app) => {
      const cancellation = new Cancellation();
      const job = new ContractJob(app, 'waits', []);
      const running = pool.run(job, cancellation);
      await eventually(() => job.accepted.length > 0, 'accept was called');
      cancellation.abort(new SoftTimeLimitExceeded());
      equal(valueOf(await running), 'SoftTimeLimitExceeded', 'reason');
    });

    check('a state of the task is stored before its outcome is known', async (pool, app) => {
      const job = new ContractJob(app, 'reports', []);
      equal(valueOf(await pool.run(job, new Cancellation())), 'done', 'value');
      const stored = await (await app.backend()).load(job.headers.id);
      equal([stored?.status, stored?.result], ['HALFWAY', { at: 1 }], 'state');
    });

    check('runs as many as it has slots, and all that it is given', async (pool, app) => {
      const wanted = Array.from({ length: pool.size + 5 }, (_, i) => i);
      const outcomes = await Promise.all(wanted.map((ms) => run(pool, app, 'meets', ms)));
      equal(outcomes.map(valueOf), wanted, 'values');
    });

    check('describes itself', async (pool) => {
      const info = pool.info();
      holds(pool.size >= 1 && pool.processes.length > 0, 'a pool has slots and processes');
      holds(typeof info['implementation'] === 'string', 'stats name the implementation');
      equal(info['processes'], pool.processes, 'processes of the stats');
    });

    check('grows and shrinks', async (pool, app) => {
      const { size } = pool;
      const step = pool.slotsPerChild ?? 1;
      await pool.resize(size + step);
      holds(pool.size === size + step || (pool.size === 1 && size === 1), 'the size follows, or the pool has one slot');
      equal(valueOf(await run(pool, app, 'echo', 'grown')), 'grown', 'value');
      await pool.resize(1);
      equal(pool.size, step, 'smallest size');
      equal(valueOf(await run(pool, app, 'echo', 'small')), 'small', 'value');
    });

    check('ends a run by force where it says so, and goes on', async (pool, app) => {
      if (!pool.canTerminate || !pool.terminate) return;
      const { size } = pool;
      const job = new ContractJob(app, 'spins', []);
      const running = rejection(Promise.resolve(pool.run(job, new Cancellation())));
      await eventually(() => job.accepted.length > 0, 'accept was called');
      await pool.terminate(job, 'SIGTERM');
      const error = await running;
      holds(error instanceof ChildLostError && !error.bystander, `expected a ChildLostError, got ${String(error)}`);
      equal(valueOf(await run(pool, app, 'echo', 'after')), 'after', 'value');
      await eventually(() => pool.processes.length > 0 && pool.size === size, 'the pool is whole again');
    });

    check('a child that dies loses its run, and is replaced', async (pool, app) => {
      if (!pool.canTerminate) return;
      const error = await rejection(run(pool, app, 'exits'));
      holds(error instanceof WorkerLostError, `expected a WorkerLostError, got ${String(error)}`);
      holds(/exitcode 3/.test(error.message), `expected the exit code in ${error.message}`);
      const outcomes = await Promise.all(Array.from({ length: pool.size }, () => run(pool, app, 'meets', 1)));
      equal(
        outcomes.map(valueOf),
        outcomes.map(() => 1),
        'values',
      );
    });

    check('a message that cannot be read rejects', async (pool, app) => {
      if (!pool.takesMessages) return;
      const error = await rejection(
        Promise.resolve(pool.run(new ContractJob(app, 'echo', [], Buffer.from('[1,')), new Cancellation())),
      );
      holds(error instanceof DecodeError, `expected a DecodeError, got ${String(error)}`);
      equal(valueOf(await run(pool, app, 'echo', 1)), 1, 'value afterwards');
    });

    check('restarts under load where it can', async (pool, app) => {
      if (!pool.restart) return;
      let going = true;
      const load = (async () => {
        const values: unknown[] = [];
        while (going) values.push(valueOf(await run(pool, app, 'meets', 1)));
        return values;
      })();
      const job = new ContractJob(app, 'echo', [1]);
      await pool.run(job, new Cancellation());
      await pool.restart();
      going = false;
      holds((await load).length > 0, 'runs during the restart');
      equal(valueOf(await run(pool, app, 'echo', 1)), 1, 'value afterwards');
    });
  });
}
