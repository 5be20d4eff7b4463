import type { AppSource } from '../app/load-source.ts';
import type { Celery } from '../app/celery.ts';
import { UsageError } from '../errors.ts';
import { createPool, type PoolFactory, type PoolOptions } from '../pools/names.ts';
import type { Pool } from '../pools/pool.ts';
import { PoolSet } from '../pools/pool-set.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import type { AutoscaleOptions } from './autoscale.ts';
import type { DefaultLimits } from './limits.ts';
import type { RevokeLimits } from './revoked.ts';

export interface WorkerOptions {
  /** Node name; `%h`, `%n`, `%d` are filled in. @default 'celery@%h' */
  readonly hostname?: string | undefined;
  /** Consume these queues. @default the setting `taskQueues`, else the default queue */
  readonly queues?: readonly string[] | undefined;
  readonly excludeQueues?: readonly string[] | undefined;
  /** Tasks at a time, or children where the pool has some. @default setting `workerConcurrency`, else what the pool finds right */
  readonly concurrency?: number | undefined;
  /** `async`, `process`, `thread`, `solo`; a pool of your own, or what makes it. @default setting `workerPool` */
  readonly pool?: string | Pool | PoolFactory | undefined;
  /**
   * Where children of a process or thread pool find the app: path, or file URL, of a module that exports it.
   * It must not start a worker when it is imported.
   */
  readonly appModule?: string | AppSource | undefined;
  /** What steps read as `scope.options`; the command line hands over its own. */
  readonly userOptions?: Readonly<Record<string, unknown>> | undefined;
  /** Tasks at a time in each child. @default setting `workerSlots` */
  readonly slots?: number | undefined;
  /** A child is replaced after this many. @default setting `workerMaxTasksPerChild` */
  readonly maxTasksPerChild?: number | undefined;
  /** Kilobytes; a child above it is replaced after its task. @default setting `workerMaxMemoryPerChild` */
  readonly maxMemoryPerChild?: number | undefined;
  /** Lets the pool grow and shrink between two numbers of children. */
  readonly autoscale?: AutoscaleOptions | undefined;
  /** Messages fetched ahead for each slot; 0 is without limit. @default setting `workerPrefetchMultiplier` */
  readonly prefetchMultiplier?: number | undefined;
  /** Fetch only what can start at once. @default setting `workerDisablePrefetch` */
  readonly disablePrefetch?: boolean | undefined;
  /** Publish task events. @default setting `workerSendTaskEvents` */
  readonly taskEvents?: boolean | undefined;
  /** @default '2s' */
  readonly heartbeatInterval?: Duration | undefined;
  readonly withoutHeartbeat?: boolean | undefined;
  /** Hard limit for tasks that have none. @default setting `taskTimeLimit` */
  readonly timeLimit?: Duration | undefined;
  readonly softTimeLimit?: Duration | undefined;
  /** How long a warm stop waits for running tasks. @default setting `drainTimeout`: as long as they take */
  readonly drainTimeout?: Duration | undefined;
  /** Drop what waits in the queues before consuming. */
  readonly purge?: boolean | undefined;
  /** Does not listen to other workers, nor take part in elections. @default false on Redis and RabbitMQ, else true */
  readonly withoutGossip?: boolean | undefined;
  /** Does not ask other workers at the start what is revoked. @default false where several processes share the broker */
  readonly withoutMingle?: boolean | undefined;
  /** File that remembers revoked ids across restarts; `%n`, `%h`, `%d` of the node name are filled in. @default setting `workerStateDb` */
  readonly stateDb?: string | undefined;
}

/**
 * `warm`: running tasks finish. `soft`: they have `workerSoftShutdownTimeout` to finish, then as `cold`.
 * `cold`: their signals abort, what is not acknowledged goes back.
 */
export type StopMode = 'warm' | 'soft' | 'cold';

export interface StopOptions {
  /** How long running tasks may go on before they are cut short. @default for `soft`: setting `workerSoftShutdownTimeout`; for `warm`: `drainTimeout` */
  readonly timeout?: Duration | undefined;
}

/** How a worker's run ended. */
export interface WorkerExit {
  readonly reason: string;
  /** Set when the broker could not be reached any more. */
  readonly error: Error | undefined;
}

/** The worker's pool, and what makes those that single tasks ask for. */
export function createPools(app: Celery, hostname: string, options: WorkerOptions): PoolSet {
  refuseInChild();
  const common = poolOptions(app, hostname, options);
  const main = mainPool(app, options.pool ?? poolSetting(app, common), common);
  return new PoolSet(main, (name) => createPool(name, app, { ...common, concurrency: null }));
}

/** Limits of tasks that have none of their own. */
export function defaultLimits(app: Celery, { timeLimit, softTimeLimit }: WorkerOptions): DefaultLimits {
  const { taskTimeLimit, taskSoftTimeLimit } = app.conf;
  return {
    timeLimitMs: limitMs(timeLimit, taskTimeLimit),
    softTimeLimitMs: limitMs(softTimeLimit, taskSoftTimeLimit),
  };
}

/** How long a stop waits for running tasks; null: as long as they take. */
export function patienceMs(app: Celery, mode: StopMode, worker: WorkerOptions, stop: StopOptions): number | null {
  if (mode === 'cold') return 0;
  if (stop.timeout !== undefined) return durationMs(stop.timeout);
  const { drainTimeout, workerSoftShutdownTimeout } = app.conf;
  return mode === 'soft' ? workerSoftShutdownTimeout * 1000 : limitMs(worker.drainTimeout, drainTimeout);
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Source: celery.worker.state `REVOKES_MAX`, `REVOKE_EXPIRES`. */
export function revokeLimits(env: Environment): RevokeLimits {
  return idLimits(env, 'CELERY_WORKER_REVOKES_MAX', 'CELERY_WORKER_REVOKE_EXPIRES');
}

/** Source: celery.worker.state `SUCCESSFUL_MAX`, `SUCCESSFUL_EXPIRES`. */
export function successLimits(env: Environment): RevokeLimits {
  const limits = idLimits(env, 'CELERY_WORKER_SUCCESSFUL_MAX', 'CELERY_WORKER_SUCCESSFUL_EXPIRES');
  return { ...limits, max: limits.max ?? 1_000 };
}

function idLimits(env: Environment, most: string, expires: string): RevokeLimits {
  const number = (name: string): number | undefined => {
    const text = env[name];
    if (text === undefined || text === '') return undefined;
    const value = Number(text);
    if (!Number.isFinite(value) || value < 0) throw new UsageError(`${name}: expected a number, got "${text}"`);
    return value;
  };
  const seconds = number(expires);
  return { max: number(most), lifetimeMs: seconds === undefined ? undefined : seconds * 1000 };
}

function limitMs(given: Duration | undefined, settingSeconds: number | null): number | null {
  if (given !== undefined) return durationMs(given);
  return settingSeconds === null ? null : settingSeconds * 1000;
}

/** A child of a pool that imports a module which starts a worker would start children without end. */
function refuseInChild(): void {
  if (!(Symbol.for('celeriac.pool-child') in globalThis)) return;
  throw new UsageError(
    'a child of a pool imported a module that starts a worker: keep the app in a module of its own (appModule)',
  );
}

function poolOptions(app: Celery, hostname: string, options: WorkerOptions): PoolOptions {
  const { appModule, slots, maxTasksPerChild, maxMemoryPerChild } = options;
  return {
    concurrency: options.autoscale
      ? Math.max(1, options.autoscale.min)
      : (options.concurrency ?? app.conf.workerConcurrency),
    slots,
    source: typeof appModule === 'string' ? { module: appModule } : appModule,
    hostname,
    maxTasksPerChild,
    maxMemoryPerChild,
  };
}

function mainPool(app: Celery, pool: string | Pool | PoolFactory, common: PoolOptions): Pool {
  if (typeof pool === 'function') return pool(app, common);
  return typeof pool === 'object' ? pool : createPool(pool, app, common);
}

/**
 * `prefork` means child processes. Only where it is nothing but Celery's default (preset `celery`) and children could
 * not find the app, the event loop takes over.
 */
function poolSetting(app: Celery, { source }: PoolOptions): string {
  const { workerPool, preset } = app.conf;
  if (workerPool !== 'prefork' || source !== undefined || preset !== 'celery') return workerPool;
  app.log.warn({ workerPool }, 'no appModule says where children find the app: tasks run in the event loop');
  return 'async';
}
