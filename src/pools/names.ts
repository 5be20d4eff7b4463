import { availableParallelism } from 'node:os';
import type { Celery } from '../app/celery.ts';
import type { AppSource } from '../app/load-source.ts';
import { ImproperlyConfigured } from '../errors.ts';
import { AsyncPool } from './async.ts';
import { ChildPool } from './child-pool.ts';
import type { MemberEvents, StartMember } from './member.ts';
import type { Pool } from './pool.ts';
import { startProcess } from './process-member.ts';
import { startThread } from './thread-member.ts';

/** Slots of the async pool for each core: handlers mostly wait. */
const SLOTS_PER_CORE = 10;

export interface PoolOptions {
  /** Slots of the async pool, children of the others; null: what the pool finds right. */
  readonly concurrency: number | null;
  /** Tasks at a time in each child. @default setting `workerSlots` */
  readonly slots?: number | undefined;
  /** Where children find the app. */
  readonly source?: AppSource | undefined;
  /** Node name of the worker. */
  readonly hostname: string;
  /** @default setting `workerMaxTasksPerChild` */
  readonly maxTasksPerChild?: number | undefined;
  /** Kilobytes. @default setting `workerMaxMemoryPerChild` */
  readonly maxMemoryPerChild?: number | undefined;
}

/** Makes a pool of your own. */
export type PoolFactory = (app: Celery, options: PoolOptions) => Pool;

const async_: PoolFactory = (app, { concurrency }) =>
  new AsyncPool(app, concurrency ?? SLOTS_PER_CORE * availableParallelism());
const solo: PoolFactory = (app) => new AsyncPool(app, 1, 'solo');

const process_: PoolFactory = (app, options) =>
  children(app, 'process', options, (events) => startProcess(app.clock, app.conf.workerLostWait * 1000, events));
const thread: PoolFactory = (app, options) => children(app, 'thread', options, startThread);

function children(
  app: Celery,
  name: string,
  options: PoolOptions,
  start: (events: MemberEvents) => ReturnType<StartMember>,
): Pool {
  const { concurrency, slots, source, hostname, maxTasksPerChild, maxMemoryPerChild } = options;
  if (source === undefined) {
    throw new ImproperlyConfigured(
      `the ${name} pool loads the app once more in each child and has to know where it is: ` +
        'pass appModule, the path or file URL of a module that exports it',
    );
  }
  const { conf } = app;
  return new ChildPool(app, {
    name,
    children: concurrency ?? availableParallelism(),
    slots: Math.max(1, slots ?? conf.workerSlots),
    source,
    hostname,
    maxTasksPerChild: (maxTasksPerChild ?? conf.workerMaxTasksPerChild) || null,
    maxMemoryKb: (maxMemoryPerChild ?? conf.workerMaxMemoryPerChild) || null,
    start,
  });
}

/** Names that `--pool` accepts. Celery's green pools are the event loop here. */
const POOLS: Readonly<Record<string, PoolFactory>> = {
  async: async_,
  gevent: async_,
  eventlet: async_,
  solo,
  process: process_,
  processes: process_,
  prefork: process_,
  thread,
  threads: thread,
};

/** The one name of a pool that has several. */
const CANONICAL: Readonly<Record<string, string>> = {
  gevent: 'async',
  eventlet: 'async',
  processes: 'process',
  prefork: 'process',
  threads: 'thread',
};

export function canonicalPool(name: string): string {
  return CANONICAL[name] ?? name;
}

/** @throws {ImproperlyConfigured} for a name that is no pool, or when the children could not find the app */
export function createPool(name: string, app: Celery, options: PoolOptions): Pool {
  const create = Object.hasOwn(POOLS, name) ? POOLS[name] : undefined;
  if (create) return create(app, options);
  throw new ImproperlyConfigured(
    `no pool is named "${name}": expected ${Object.keys(POOLS).join(', ')}; ` +
      'the command line also loads one from a module (./pool.ts:name), programs pass the pool itself',
  );
}
