import type { Selectable } from 'kysely';
import type { Db, Tx } from './database.ts';
import { CHANGES, CLOCKEDS, CRONTABS, INTERVALS, SOLARS, TASKS, type TaskTable } from './tables.ts';

/** A task with what its schedule's own table says; `found_…` are null where that row is gone. */
export type TaskRow = Selectable<TaskTable> & {
  readonly found_interval: number | null;
  readonly every: number | null;
  readonly period: string | null;
  readonly found_crontab: number | null;
  readonly minute: string | null;
  readonly hour: string | null;
  readonly day_of_month: string | null;
  readonly month_of_year: string | null;
  readonly day_of_week: string | null;
  readonly timezone: string | null;
  readonly found_solar: number | null;
  readonly event: string | null;
  readonly latitude: string | number | null;
  readonly longitude: string | number | null;
  readonly found_clocked: number | null;
  readonly clocked_time: string | null;
};

/** Tasks in the order of their names. */
export function readTasks(
  db: Db | Tx,
  only: { readonly enabled?: boolean | number; readonly name?: string } = {},
): Promise<TaskRow[]> {
  let query = db
    .selectFrom(TASKS)
    .leftJoin(INTERVALS, `${INTERVALS}.id`, `${TASKS}.interval_id`)
    .leftJoin(CRONTABS, `${CRONTABS}.id`, `${TASKS}.crontab_id`)
    .leftJoin(SOLARS, `${SOLARS}.id`, `${TASKS}.solar_id`)
    .leftJoin(CLOCKEDS, `${CLOCKEDS}.id`, `${TASKS}.clocked_id`)
    .selectAll(TASKS)
    .select([
      `${INTERVALS}.id as found_interval`,
      `${INTERVALS}.every`,
      `${INTERVALS}.period`,
      `${CRONTABS}.id as found_crontab`,
      `${CRONTABS}.minute`,
      `${CRONTABS}.hour`,
      `${CRONTABS}.day_of_month`,
      `${CRONTABS}.month_of_year`,
      `${CRONTABS}.day_of_week`,
      `${CRONTABS}.timezone`,
      `${SOLARS}.id as found_solar`,
      `${SOLARS}.event`,
      `${SOLARS}.latitude`,
      `${SOLARS}.longitude`,
      `${CLOCKEDS}.id as found_clocked`,
      `${CLOCKEDS}.clocked_time`,
    ])
    .orderBy(`${TASKS}.name`);
  if (only.enabled !== undefined) query = query.where(`${TASKS}.enabled`, '=', only.enabled);
  if (only.name !== undefined) query = query.where(`${TASKS}.name`, '=', only.name);
  return query.execute();
}

/** When something was last changed, as written; undefined before the first change. */
export async function lastChange(db: Db | Tx): Promise<string | undefined> {
  const row = await db.selectFrom(CHANGES).select('last_update').where('ident', '=', 1).executeTakeFirst();
  return row?.last_update;
}
