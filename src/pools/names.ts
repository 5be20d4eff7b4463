import { availableParallelism } from 'node:os';
import type { Celery } from '../app/celery.ts';
import { ImproperlyConfigured } from '../errors.ts';
import { AsyncPool } from './async.ts';
import type { Pool } from './pool.ts';

/** Slots of the async pool for each core: handlers mostly wait. */
const SLOTS_PER_CORE = 10;

type CreatePool = (app: Celery, concurrency: number | null) => Pool;

const async_: CreatePool = (app, concurrency) =>
  new AsyncPool(app, concurrency ?? SLOTS_PER_CORE * availableParallelism());
const solo: CreatePool = (app) => new AsyncPool(app, 1, 'solo');

/** Names that `--pool` accepts. Celery's green pools are the event loop here. */
const POOLS: Readonly<Record<string, CreatePool>> = { async: async_, gevent: async_, eventlet: async_, solo };

/** Names that Celery has and this version cannot offer yet. */
const PLANNED: ReadonlySet<string> = new Set(['prefork', 'process', 'processes', 'thread', 'threads']);

/**
 * @param concurrency slots; null: the pool's default
 * @throws {ImproperlyConfigured} for a name that is no pool, or none yet
 */
export function createPool(name: string, app: Celery, concurrency: number | null): Pool {
  const create = POOLS[name];
  if (create) return create(app, concurrency);
  if (PLANNED.has(name)) {
    throw new ImproperlyConfigured(
      `the pool "${name}" is not available in this version: use "async" (many tasks in one event loop) or "solo", and start several workers to use several cores`,
    );
  }
  throw new ImproperlyConfigured(`no pool is named "${name}": expected ${Object.keys(POOLS).join(', ')}`);
}
