import type { Celery } from '../app/celery.ts';
import { ImproperlyConfigured } from '../errors.ts';
import type { PoolFactory, PoolOptions } from './names.ts';
import type { Pool } from './pool.ts';

type Exports = Readonly<Record<string, unknown>>;

/** Whether a pool's name says where to find one: `./pool.ts`, `pools/mine.js:MyPool`, `my-pool-package:default`. */
export function isPoolModule(name: string): boolean {
  return /[./:]/.test(name);
}

/**
 * A pool that a module exports: a class, or a function that makes one.
 * @param spec as it was given, for errors
 * @throws {ImproperlyConfigured} when the export is neither
 */
export function poolFrom(module: Exports, exportName: string | undefined, spec: string): PoolFactory {
  const exported = exportName === undefined ? (module['default'] ?? onlyFunction(module)) : module[exportName];
  if (typeof exported !== 'function') {
    throw new ImproperlyConfigured(
      `pool "${spec}": expected a class, or a function (app, options) => pool, as ${exportName === undefined ? 'default export' : `export "${exportName}"`}, got ${typeof exported}`,
    );
  }
  return (app, options) => checked(make(exported as Constructable, app, options), spec);
}

type Constructable = PoolFactory & (new (app: Celery, options: PoolOptions) => Pool);

function make(exported: Constructable, app: Celery, options: PoolOptions): unknown {
  const isClass = typeof (exported.prototype as Partial<Pool> | undefined)?.run === 'function';
  return isClass ? new exported(app, options) : exported(app, options);
}

function onlyFunction(module: Exports): unknown {
  const functions = Object.values(module).filter((value) => typeof value === 'function');
  return functions.length === 1 ? functions[0] : undefined;
}

function checked(made: unknown, spec: string): Pool {
  const pool = made as Partial<Pool> | null | undefined;
  const missing = (['run', 'resize', 'info', 'close'] as const).filter((name) => typeof pool?.[name] !== 'function');
  if (missing.length === 0 && typeof pool?.size === 'number') return pool as Pool;
  throw new ImproperlyConfigured(`pool "${spec}" lacks ${missing.join(', ') || 'size'}: see the interface Pool`);
}
