import { markChanged } from './changes.ts';
import type { DjangoDatabase, Tx } from './database.ts';
import type { TaskRow } from './rows.ts';
import { TASKS } from './tables.ts';

/** What beat writes down of one row after a run. */
export interface Run {
  readonly id: number;
  readonly lastRunMs: number;
  /** By how much the count of runs grows; 0 when a run was left out. */
  readonly times: number;
  /** The row disables itself. */
  readonly ends: boolean;
}

/** Ids in one statement; databases limit them. */
const BATCH = 1000;

/**
 * Writes runs down. Counts grow by what was run, and a row that was disabled meanwhile gets no last run, so that
 * what others wrote since the tables were read stays.
 */
export async function record(tx: Tx, database: DjangoDatabase, runs: readonly Run[]): Promise<void> {
  const { moments, stamps, clock } = database;
  const date_changed = stamps.write(clock.now());
  const enabled = database.truth(true);
  for (const [{ lastRunMs, times }, ids] of batches(runs.filter(({ ends }) => !ends))) {
    await tx
      .updateTable(TASKS)
      .set((eb) => ({ date_changed, total_run_count: eb('total_run_count', '+', times) }))
      .where('id', 'in', ids)
      .execute();
    await tx
      .updateTable(TASKS)
      .set({ last_run_at: moments.write(lastRunMs) })
      .where('id', 'in', ids)
      .where('enabled', '=', enabled)
      .execute();
  }
  const ended = runs.filter(({ ends }) => ends);
  for (const [, ids] of batches(ended)) {
    await tx
      .updateTable(TASKS)
      .set({ date_changed, enabled: database.truth(false), last_run_at: null, total_run_count: 0 })
      .where('id', 'in', ids)
      .execute();
  }
  if (ended.length > 0) await markChanged(tx, database);
}

/**
 * Disables rows that have expired, cannot be read, or ran once and should not again; the latter begin anew when they are
 * enabled. Source: `ModelEntry._disable` and `ModelEntry.is_due`.
 */
export async function disable(tx: Tx, database: DjangoDatabase, rows: readonly TaskRow[]): Promise<void> {
  const date_changed = database.stamps.write(database.clock.now());
  const set = { date_changed, enabled: database.truth(false), last_run_at: null };
  const once = rows.filter(({ one_off }) => Boolean(one_off));
  for (const row of rows) await tx.updateTable(TASKS).set(set).where('id', '=', row.id).execute();
  for (const row of once) await tx.updateTable(TASKS).set({ total_run_count: 0 }).where('id', '=', row.id).execute();
  if (once.length > 0) await markChanged(tx, database);
}

/** Runs that write the same, together. */
function* batches(runs: readonly Run[]): Generator<readonly [Run, number[]]> {
  const alike = new Map<string, [Run, number[]]>();
  for (const run of runs) {
    const key = `${run.lastRunMs} ${run.times}`;
    const batch = alike.get(key);
    if (batch) batch[1].push(run.id);
    else alike.set(key, [run, [run.id]]);
  }
  for (const [run, ids] of alike.values()) {
    for (let at = 0; at < ids.length; at += BATCH) yield [run, ids.slice(at, at + BATCH)];
  }
}
