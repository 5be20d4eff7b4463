import type { ResultTuple } from '../protocol/result.ts';

interface Common {
  readonly id: string;
  readonly traceback: string | null;
  readonly children: readonly ResultTuple[];
  /** null while not ready */
  readonly dateDone: Date | null;
}

/** What is known about a task at one moment; `state` tells the cases apart. */
export type Snapshot<T> =
  | (Common & { readonly state: 'PENDING' | 'RECEIVED' | 'REJECTED' })
  | (Common & { readonly state: 'STARTED'; readonly worker: string | null; readonly pid: number | null })
  | (Common & { readonly state: 'SUCCESS'; readonly value: T })
  | (Common & { readonly state: 'FAILURE' | 'REVOKED'; readonly error: Error })
  | (Common & { readonly state: 'RETRY'; readonly error: Error | null })
  | CustomSnapshot;

/** A state of the application's own; `CUSTOM` stands for any name, which `name` has. */
export interface CustomSnapshot extends Common {
  readonly state: 'CUSTOM';
  readonly name: string;
  readonly meta: unknown;
}

/** Fields stored with `resultExtended`; null where nobody stored them. */
export interface ResultMeta {
  readonly name: string | null;
  readonly args: unknown;
  readonly kwargs: unknown;
  readonly worker: string | null;
  readonly retries: number | null;
  readonly queue: string | null;
  /** Stamps by name; null where the task has none. */
  readonly stamps: Readonly<Record<string, unknown>> | null;
  readonly groupId: string | null;
  readonly parentId: string | null;
}
