import { Celery, Ignore, Reject, type CeleryOptions } from '../../src/index.ts';
import { sleep, systemClock } from '../../src/runtime/clock.ts';

/*
 * Tasks that end in every way there is, one for each combination of the settings that have a say in how its message is
 * settled; what test/fixtures/record-acks.py has for Python.
 */

export interface AckSettings {
  readonly acksLate: boolean;
  readonly acksOnFailureOrTimeout: boolean;
  readonly rejectOnWorkerLost: boolean;
}

export function ackTask({ acksLate, acksOnFailureOrTimeout, rejectOnWorkerLost }: AckSettings): string {
  return `acks.${[acksLate, acksOnFailureOrTimeout, rejectOnWorkerLost].map((on) => (on ? 't' : 'f')).join('')}`;
}

const LONG_MS = 60_000;
const BOTH = [true, false] as const;

/** Ends as asked when it runs first, and well from then on. */
export function ackApp(options: CeleryOptions = {}): Celery {
  const app = new Celery({ main: 'acks', preset: 'celery', broker: 'memory://', backend: 'memory://', ...options });
  for (const acksLate of BOTH)
    for (const acksOnFailureOrTimeout of BOTH)
      for (const rejectOnWorkerLost of BOTH) {
        const settings = { acksLate, acksOnFailureOrTimeout, rejectOnWorkerLost };
        app.task(ackTask(settings), { bind: true, ...settings }, async (ctx, outcome: string) => {
          if (ctx.retries > 0 || ctx.request.deliveryInfo.redelivered) return 'again';
          switch (outcome) {
            case 'failure':
              throw new TypeError('no');
            case 'softLimit':
            case 'hardLimit':
            case 'terminated':
              return sleep(systemClock, LONG_MS, outcome === 'softLimit' ? ctx.signal : undefined);
            case 'softLimitCaught':
              return sleep(systemClock, LONG_MS, ctx.signal).catch(() => 'caught');
            case 'childLost':
              return process.exit(3);
            case 'reject':
            case 'rejectRequeue':
              throw new Reject('no', { requeue: outcome === 'rejectRequeue' });
            case 'ignore':
              throw new Ignore();
            case 'retry':
              throw ctx.retry({ countdown: '300ms' });
            default:
              return 'done';
          }
        });
      }
  return app;
}

export const app: Celery = ackApp();
