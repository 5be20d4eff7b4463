import type { ConsumerState } from './consumer.ts';

/** How a worker is, as health checks and metrics read it. */
export interface WorkerVitals {
  /** Of its connection to the broker; `consuming` is proven by reads that the broker answered. */
  readonly state: ConsumerState;
  /** Tasks that run now. */
  readonly active: number;
  /** Tasks that could run at a time. */
  readonly slots: number;
  /** Messages that wait for their ETA. */
  readonly held: number;
  /** Messages that wait for a slot. */
  readonly waiting: number;
  /** So far: messages that could not be read, that named unknown tasks, tasks whose lease was lost, connections. */
  readonly malformed: number;
  readonly unknown: number;
  readonly leasesLost: number;
  readonly connects: number;
  /** Events that wait for the broker, and that were given up. */
  readonly eventsWaiting: number;
  readonly eventsDropped: number;
}
