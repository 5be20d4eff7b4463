import type { Registry } from 'prom-client';
import { optional } from '../runtime/optional.ts';
import { listen, SENT_AT_HEADER, taskEnded, taskStarted } from './channels.ts';
import type { SignalHub } from '../app/signals.ts';
import type { WorkerVitals } from '../worker/vitals.ts';

/*
 * celeriac/prometheus: a worker's metrics, with the package prom-client.
 */

/** What is measured: a `Worker`. */
export interface Measured {
  readonly hostname: string;
  readonly vitals: WorkerVitals | undefined;
  readonly app: { readonly signals: SignalHub; readonly clock: { now(): number } };
}

export interface PrometheusOptions {
  /** Where the metrics are registered. @default a registry of its own */
  readonly registry?: Registry | undefined;
  /** Seconds, ascending. @default 5 ms to 10 minutes */
  readonly buckets?: readonly number[] | undefined;
}

export interface PrometheusMetrics extends Disposable {
  readonly registry: Registry;
  /** The page, and its content type, as an HTTP server hands them out. */
  page(): Promise<{ readonly contentType: string; readonly text: string }>;
  /** Stops measuring; what was counted stays. Harmless twice. */
  stop(): void;
}

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600];

/**
 * Measures one worker. Producers of the same process say in a header when they sent a message, which is what queue
 * latency is computed from; call `stampSentTime()` in processes that only send.
 *
 * @example
 * const metrics = await measure(worker);
 * createServer(async (_, response) => response.end((await metrics.page()).text)).listen(9808);
 *
 * @throws {ImproperlyConfigured} without the package prom-client
 */
export async function measure(worker: Measured, options: PrometheusOptions = {}): Promise<PrometheusMetrics> {
  const prom = await optional('prom-client', 'celeriac/prometheus', () => import('prom-client'));
  const { Counter, Gauge, Histogram } = prom;
  const registry = options.registry ?? new prom.Registry();
  const registers = [registry];
  const buckets = [...(options.buckets ?? BUCKETS)];
  const { hostname } = worker;

  const latency = new Histogram({
    name: 'celeriac_task_queue_latency_seconds',
    help: 'From when a task could have begun (sent, or its ETA) to when it did',
    labelNames: ['worker', 'task', 'queue'] as const,
    buckets,
    registers,
  });
  const runtime = new Histogram({
    name: 'celeriac_task_runtime_seconds',
    help: 'From the begin of a task to its end',
    labelNames: ['worker', 'task', 'state'] as const,
    buckets,
    registers,
  });
  const ended = new Counter({
    name: 'celeriac_tasks_total',
    help: 'Tasks that ended, by state; RETRY counts runs that asked for another',
    labelNames: ['worker', 'task', 'state'] as const,
    registers,
  });
  const redelivered = new Counter({
    name: 'celeriac_task_redeliveries_total',
    help: 'Tasks begun from a message that had been handed out before',
    labelNames: ['worker', 'task'] as const,
    registers,
  });

  const gauge = (name: string, help: string, read: (vitals: WorkerVitals) => number): void => {
    new Gauge({
      name,
      help,
      labelNames: ['worker'] as const,
      registers,
      collect() {
        const { vitals } = worker;
        if (vitals) this.set({ worker: hostname }, read(vitals));
      },
    });
  };
  gauge('celeriac_worker_consuming', '1 while the worker is proven to consume', ({ state }) =>
    state === 'consuming' ? 1 : 0,
  );
  gauge('celeriac_worker_slots', 'Tasks that could run at a time', ({ slots }) => slots);
  gauge('celeriac_worker_active', 'Tasks that run now', ({ active }) => active);
  gauge('celeriac_worker_waiting', 'Messages that wait for a slot', ({ waiting }) => waiting);
  gauge('celeriac_worker_held', 'Messages that wait for their ETA', ({ held }) => held);
  gauge('celeriac_worker_connects', 'Connections made to the broker so far', ({ connects }) => connects);
  gauge('celeriac_worker_leases_lost', 'Tasks whose lease was lost while they ran', ({ leasesLost }) => leasesLost);
  gauge('celeriac_worker_malformed', 'Messages that could not be read', ({ malformed }) => malformed);
  gauge('celeriac_worker_unknown', 'Messages for tasks that are not registered', ({ unknown }) => unknown);
  gauge('celeriac_worker_events_waiting', 'Events that wait for the broker', ({ eventsWaiting }) => eventsWaiting);
  gauge('celeriac_worker_events_dropped', 'Events given up', ({ eventsDropped }) => eventsDropped);

  const undo = [
    stampSentTime(worker.app),
    listen(taskStarted, (started) => {
      if (started.worker !== hostname) return;
      const { task, queue, waitedMs } = started;
      if (waitedMs !== undefined) latency.observe({ worker: hostname, task, queue }, waitedMs / 1000);
      if (started.redelivered) redelivered.inc({ worker: hostname, task });
    }),
    listen(taskEnded, ({ worker: of, task, state, runtimeMs }) => {
      if (of !== hostname) return;
      ended.inc({ worker: hostname, task, state });
      if (runtimeMs !== undefined) runtime.observe({ worker: hostname, task, state }, runtimeMs / 1000);
    }),
  ];
  const stop = (): void => undo.splice(0).forEach((one) => one());
  return {
    registry,
    page: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
    stop,
    [Symbol.dispose]: stop,
  };
}

/**
 * Lets messages say when they were sent, in the header `celeriac_sent_at`, which Python ignores.
 * @returns a function that ends it; harmless twice
 */
export function stampSentTime(app: Measured['app']): () => void {
  return app.signals.connect(
    'beforePublish',
    ({ headers }) => {
      headers[SENT_AT_HEADER] = Math.round(app.clock.now());
    },
    { id: SENT_AT_HEADER },
  );
}
