import type { Config } from './settings.ts';

/**
 * Where the preset `safe` parts from Celery 5.6, whose values the table holds (preset `celery`).
 * A value that somebody set wins over both.
 */
export const SAFE_PRESET: Readonly<Partial<Config>> = Object.freeze({
  /** A worker that dies repeats the task instead of losing it. */
  taskAcksLate: true,
  /** The same when only the child process dies. */
  taskRejectOnWorkerLost: true,
  /** A message that kills every worker ends as FAILURE instead of going round for ever. */
  maxDeliveries: 3,
  /** A publish that resolved is in the broker. */
  publisherConfirms: true,
  /** What is secret by its name stays out of monitors and logs. */
  maskedArguments: Object.freeze(['password', 'passwd', 'secret', 'token', 'api_key', 'authorization', 'credential']),
  /** Handlers are mostly waiting; a process for each costs memory and gains nothing. */
  workerPool: 'async',
});

/** Broker and result backend of the preset `safe` when no broker is named: a file under the working directory. */
export const EMBEDDED_URL = 'sqlite://';
