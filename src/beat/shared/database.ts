import type { Edit, EditBook } from '../edits.ts';
import type { LoadContext, RunState } from '../schedule-store.ts';

/*
 * lease   the right to send, held by one beat for a while; the database's clock, or the machine's for a file, measures it
 * fence   names one holding of the lease: epoch and holder. The epoch grows with each new holder
 */

/** Everything a schedule keeps that several beats share. */
export interface Shared {
  /** Undefined while nothing was saved. */
  readonly context: LoadContext | undefined;
  readonly states: ReadonlyMap<string, RunState>;
  readonly edits: ReadonlyMap<string, Edit>;
}

/** What a database does for beats that share a schedule. Each call is atomic. */
export interface SharedDatabase extends EditBook {
  /** For people; no password. */
  readonly name: string;
  /** Takes the lease when it is free or over, renews it when it is ours. @returns the fence, or undefined: another holds it */
  campaign(holder: string, ttlMs: number): Promise<string | undefined>;
  /** Gives the lease up, if it is still this one. */
  resign(fence: string): Promise<void>;
  read(): Promise<Shared>;
  /** Counts edits. */
  version(): Promise<number>;
  /**
   * Writes states and removes those of entries that are gone, while the lease is still this one.
   * @returns false: it is not, and nothing was written
   */
  save(fence: string, changes: SharedChanges): Promise<boolean>;
  /** Harmless twice. */
  close(): Promise<void>;
}

export interface SharedChanges {
  readonly context: LoadContext;
  readonly states: ReadonlyMap<string, RunState>;
  readonly gone: readonly string[];
}

export function fenceOf(epoch: number, holder: string): string {
  return `${epoch}:${holder}`;
}
