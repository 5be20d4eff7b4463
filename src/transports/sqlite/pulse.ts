import { createRequire } from 'node:module';
import { startPulse, type Pulse } from '../../runtime/pulse.ts';

/** Renews the owner's lease while the event loop cannot: only one that has not run out. */
const CODE = `
const { data } = workerData;
let db;
function renew(owner) {
  if (!db) {
    const Libsql = require(data.driver);
    db = new (Libsql.default ?? Libsql)(data.file, { timeout: 1000 });
  }
  const now = Date.now();
  db.prepare('UPDATE owner SET lease = ? WHERE id = ? AND lease > ?').run(now + data.leaseMs, owner, now);
}
function rest() {
  db?.close();
  db = undefined;
}
`;
/** A task that blocks the event loop for longer has lost its message. */
const LONGEST_MS = 3_600_000;

export function sqlitePulse(file: string, leaseMs: number): Pulse | undefined {
  const driver = createRequire(import.meta.url).resolve('libsql');
  return startPulse(CODE, { silentMs: leaseMs / 3, longestMs: LONGEST_MS, data: { driver, file, leaseMs } });
}
