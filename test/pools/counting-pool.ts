import type { Celery } from '../../src/index.ts';
import { AsyncPool } from '../../src/pools/async.ts';
import type { PoolOptions } from '../../src/pools/names.ts';
import type { AutoscalePolicy } from '../../src/worker/autoscale.ts';
import type { Job, Pool } from '../../src/pools/pool.ts';
import type { Outcome } from '../../src/app/trace.ts';
import type { Cancellation } from '../../src/runtime/cancellation.ts';

/** A pool of somebody else's: counts what it runs. */
export class CountingPool extends AsyncPool implements Pool {
  ran = 0;
  constructor(app: Celery, { concurrency }: PoolOptions) {
    super(app, concurrency ?? 3);
  }
  override run(job: Job, cancellation: Cancellation): Outcome | Promise<Outcome> {
    this.ran++;
    return super.run(job, cancellation);
  }
  override info(): Readonly<Record<string, unknown>> {
    return { ...super.info(), implementation: 'counting', ran: this.ran };
  }
}

export const halfAPool = (): unknown => ({ size: 1, run() {} });

/** A policy of somebody else's. */
export const byTheHour: AutoscalePolicy = ({ min }) => min;
