import type { AppSource } from '../app/load-source.ts';
import type { LogLevel } from '../runtime/logger.ts';

/*
 * What a pool and its children say to each other. Everything is plain JSON, so that processes may use Node's JSON
 * channel (the fastest for single messages) and threads their ports. Messages of one tick travel as one batch.
 */

/** What a child needs to know before it can run anything. */
export interface ChildSetup {
  readonly source: AppSource;
  /** Node name of the worker. */
  readonly hostname: string;
  /** Lines below are not sent. */
  readonly logLevel: LogLevel;
  /** Report that memory is above this; null: do not look. */
  readonly maxMemoryKb: number | null;
}

/** A task message as it came, in texts. */
export interface WireJob {
  /** Headers; JSON text where they hold more than JSON can. */
  readonly headers: object | string;
  readonly body: string;
  readonly bodyAs: 'utf8' | 'base64';
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly properties: object | string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly priority: number | null;
  readonly redelivered: boolean;
}

/** An outcome in texts. `json` members are kombu's JSON, because results hold dates, bytes and big integers. */
export type WireOutcome =
  | { readonly kind: 'success'; readonly value?: unknown; readonly json?: string; readonly children?: string }
  | {
      readonly kind: 'failure';
      readonly record: string;
      readonly traceback: string;
      readonly expected: boolean;
      readonly children?: string;
    }
  | {
      readonly kind: 'retry';
      readonly retry: string;
      readonly record: string | null;
      readonly traceback: string | null;
    }
  | { readonly kind: 'ignore'; readonly reason?: string }
  | { readonly kind: 'reject'; readonly requeue: boolean; readonly reason: string }
  /** The message could not be read. */
  | { readonly kind: 'unreadable'; readonly code: string; readonly reason: string };

export type ToChild =
  | readonly ['setup', ChildSetup]
  | readonly ['run', number, WireJob]
  /** Aborts the signal of a run; the reason as an exception record. */
  | readonly ['abort', number, string]
  /** Answers `store`; null: it is stored. */
  | readonly ['stored', number, string | null]
  | readonly ['leave'];

export type ToParent =
  | readonly ['up']
  /** The app could not be loaded. */
  | readonly ['broken', string]
  /** `full`: memory is above the limit; `followed`: somebody waits for what the task returns. */
  | readonly ['done', number, WireOutcome, { readonly followed?: true; readonly full?: true } | null]
  /** A state of the task's own, as a record: run, ticket, JSON text. */
  | readonly ['store', number, number, string]
  | readonly ['log', Exclude<LogLevel, 'silent' | 'trace'>, Readonly<Record<string, unknown>>, string];
