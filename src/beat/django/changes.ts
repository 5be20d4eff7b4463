import type { DjangoDatabase, Tx } from './database.ts';
import { lastChange } from './rows.ts';
import { CHANGES } from './tables.ts';

/**
 * Tells every beat, Python's too, to read the tables again. Always later than before, even if the clock was set back:
 * Python looks for a later moment. Source: `PeriodicTasks.update_changed`.
 */
export async function markChanged(tx: Tx, { stamps, clock }: DjangoDatabase): Promise<void> {
  const last = await lastChange(tx);
  const now = clock.now();
  if (last === undefined) {
    await tx
      .insertInto(CHANGES)
      .values({ ident: 1, last_update: stamps.write(now) })
      .execute();
    return;
  }
  const later = Math.max(now, stamps.read(last) + 0.001);
  await tx
    .updateTable(CHANGES)
    .set({ last_update: stamps.write(later) })
    .where('ident', '=', 1)
    .execute();
}
