import type { Celery } from '../app/celery.ts';
import { sleep } from '../runtime/clock.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { parseRate } from '../runtime/rate.ts';
import { ClusterState } from './cluster-state.ts';

/** Keeps what a cluster looked like: writes it into a database, a file, a chart. */
export interface Camera {
  /** Called again and again; never while it is still at it. What it throws is logged. */
  onShutter(state: ClusterState): unknown;
  /** Called now and then: the place to drop what is old. */
  onCleanup?(): unknown;
}

export interface CameraOptions extends Camera {
  /** Between pictures. @default '1s' */
  readonly every?: Duration | undefined;
  /** At most so many pictures, whatever `every` says: `'10/m'`. @default no limit */
  readonly maxRate?: string | number | undefined;
  /** Between calls of `onCleanup`. @default '1h' */
  readonly cleanupEvery?: Duration | undefined;
  /** After each picture, forgets tasks that have ended. @default false */
  readonly clearAfter?: boolean | undefined;
  /** Asks all workers to send task events. @default true */
  readonly enable?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Takes pictures of a cluster until the signal aborts; resolves then, after the picture that is being taken.
 * Source: `Polaroid` and `evcam` of celery.events.snapshot.
 * @throws {RangeError} for a rate that cannot be read
 * @throws when the broker is out of reach
 *
 * @example
 * await runCamera(app, { every: '10s', onShutter: (state) => save([...state.workers.values()]), signal });
 */
export async function runCamera(app: Celery, options: CameraOptions): Promise<void> {
  const { every = '1s', maxRate, cleanupEvery = '1h', clearAfter = false, enable = true } = options;
  const perSecond = parseRate(maxRate);
  const everyMs = Math.max(durationMs(every), perSecond > 0 ? 1000 / perSecond : 0);
  const state = new ClusterState({ log: app.log });
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal]);
  const again = async (ms: number, run: () => unknown, what: string): Promise<void> => {
    while (!signal.aborted) {
      await sleep(app.clock, ms, signal).catch(() => {});
      if (signal.aborted) return;
      try {
        await run();
      } catch (error) {
        app.log.error({ error }, `${what} of the camera failed`);
      }
    }
  };
  const shoot = async (): Promise<void> => {
    await options.onShutter(state);
    if (clearAfter) state.clearTasks();
  };
  const shooting = again(everyMs, shoot, 'onShutter');
  const cleaning = options.onCleanup && again(durationMs(cleanupEvery), () => options.onCleanup?.(), 'onCleanup');
  try {
    for await (const event of app.events({ enable, signal })) {
      state.apply(event);
    }
  } catch (error) {
    if (options.signal?.aborted !== true) throw error;
  } finally {
    stop.abort();
    await Promise.all([shooting, cleaning]);
  }
}
