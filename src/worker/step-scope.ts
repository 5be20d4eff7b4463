import type { ConsumerScope, StepScope } from '../app/steps.ts';
import type { Queue } from '../messaging/entity.ts';
import type { Pool } from '../pools/pool.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import type { Scheduled } from '../runtime/timers.ts';
import type { Connection, Transport } from '../transports/transport.ts';
import type { Executor } from './executor.ts';
import type { WorkerParts } from './parts.ts';
import type { PrefetchWindow } from './window.ts';

/** What a worker lends to its steps. */
export interface Lent {
  readonly parts: WorkerParts;
  readonly transport: Transport;
  readonly executor: Executor;
  readonly window: PrefetchWindow;
  readonly pool: Pool;
  readonly options: Readonly<Record<string, unknown>>;
  readonly queues: () => readonly Queue[];
  readonly resize: (by: number) => Promise<void>;
  readonly windowChanged: () => void;
  readonly addQueue: (queue: Queue) => Promise<void>;
  readonly cancelQueue: (name: string) => Promise<void>;
  readonly stop: (reason: string) => void;
}

export function stepScope(lent: Lent): StepScope {
  const { parts, transport, executor, window, pool } = lent;
  const { app, hostname, log, events, timers } = parts;
  const at = (delayMs: number, run: () => void): Scheduled =>
    timers.at(app.clock.now() + delayMs, () => {
      try {
        run();
      } catch (error) {
        log.error({ error }, 'a timer of a step failed');
      }
    });
  return {
    app,
    hostname,
    log,
    transport,
    options: lent.options,
    pool: {
      name: pool.name,
      get size() {
        return pool.size;
      },
      resize: (size) => lent.resize(size - pool.size),
    },
    timer: { after: (delay, run) => at(durationMs(delay), run), every: (interval, run) => repeat(at, interval, run) },
    events: { send: (type, fields = {}) => events.send(type, fields) },
    qos: {
      get value() {
        return window.size;
      },
      adjust: (by) => {
        window.adjustment += by;
        lent.windowChanged();
      },
    },
    get queues() {
      return lent.queues();
    },
    addQueue: lent.addQueue,
    cancelQueue: lent.cancelQueue,
    active: () => [...executor.running].map(({ id }) => id),
    stop: lent.stop,
  };
}

/** The same for one connection; getters stay getters. */
export function consumerScope(scope: StepScope, connection: Connection): ConsumerScope {
  return Object.create(scope, { connection: { value: connection, enumerable: true } }) as ConsumerScope;
}

function repeat(
  at: (delayMs: number, run: () => void) => Scheduled,
  interval: Duration,
  run: () => void,
): { cancel(): void } {
  const intervalMs = Math.max(1, durationMs(interval));
  let timer: Scheduled;
  const next = (): void => {
    timer = at(intervalMs, () => {
      next();
      run();
    });
  };
  next();
  return { cancel: () => timer.cancel() };
}
