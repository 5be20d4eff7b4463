import type { ResultCodec, ResultTuple, Stored } from '../protocol/result.ts';
import type { Database, Statement } from '../sqlite/database.ts';
import { CHORD_CLAIM_MS, type ChordPart, type ChordStore } from './backend.ts';
import { decodePart, encodePart } from './chord-part.ts';

/** `size` null: not known yet. `owner`: the member that completed the header. `ended`: the body is out. */
export const CHORD_SCHEMA = `
CREATE TABLE IF NOT EXISTS chord (
  group_id TEXT PRIMARY KEY,
  size INTEGER,
  owner TEXT,
  ended INTEGER NOT NULL DEFAULT 0,
  expires INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chord_part (
  group_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  place INTEGER,
  success INTEGER NOT NULL,
  part TEXT NOT NULL,
  expires INTEGER,
  PRIMARY KEY (group_id, task_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chord_claim (
  group_id TEXT PRIMARY KEY,
  claim TEXT NOT NULL,
  until INTEGER NOT NULL,
  expires INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chord_growth (
  group_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  size INTEGER NOT NULL,
  expires INTEGER,
  PRIMARY KEY (group_id, task_id)
) WITHOUT ROWID;
`;

const TABLES = ['chord', 'chord_part', 'chord_claim', 'chord_growth'] as const;

export interface SqliteChordsOptions {
  readonly codec: ResultCodec;
  open(): Promise<Database>;
  /** Unix milliseconds, the same for all processes of the machine. */
  now(): number;
  /** When what is written now may go, in Unix milliseconds; null: never. */
  expires(): number | null;
  saveGroup(groupId: string, group: ResultTuple): Promise<void>;
}

interface Statements {
  readonly begin: Statement;
  readonly state: Statement;
  readonly put: Statement;
  readonly counts: Statement;
  readonly own: Statement;
  readonly claim: Statement;
  readonly parts: Statement;
  readonly grow: Statement;
  readonly end: Statement;
  readonly dropParts: Statement;
  readonly dropGrowth: Statement;
  readonly dropClaim: Statement;
  readonly sweeps: readonly Statement[];
}

/** Chords beside the results: each call is one transaction. */
export class SqliteChords implements ChordStore {
  readonly #options: SqliteChordsOptions;
  #prepared: Promise<{ readonly db: Database; readonly sql: Statements }> | undefined;

  constructor(options: SqliteChordsOptions) {
    this.#options = options;
  }

  #open(): Promise<{ readonly db: Database; readonly sql: Statements }> {
    this.#prepared ??= this.#options.open().then(
      (db) => ({ db, sql: prepare(db) }),
      (error: unknown) => {
        this.#prepared = undefined;
        throw error;
      },
    );
    return this.#prepared;
  }

  async begin(groupId: string, size: number, group: ResultTuple): Promise<void> {
    if (group[1]?.some(([, members]) => members !== null)) await this.#options.saveGroup(groupId, group);
    const { db, sql } = await this.#open();
    await db.write(() => {
      const [, ended = 0] = sql.state.first(groupId) ?? [];
      if (ended === 1) sql.dropClaim.run(groupId);
      sql.begin.run(groupId, size, this.#options.expires());
    });
  }

  async add(groupId: string, part: ChordPart, claim: string): Promise<readonly ChordPart[] | 'claimed' | undefined> {
    const { codec } = this.#options;
    const text = encodePart(codec, part);
    const success = part.state === 'SUCCESS' ? 1 : 0;
    const { db, sql } = await this.#open();
    const rows = await db.write(() => {
      const [size = null, ended = 0] = sql.state.first(groupId) ?? [];
      if (ended === 1) return undefined;
      sql.put.run(groupId, part.taskId, part.index, success, text, this.#options.expires());
      if (size === null) return undefined;
      const [ready, grown] = sql.counts.first(groupId, groupId) as [number, number];
      if (ready < Number(size) + grown) return undefined;
      if (sql.own.run(part.taskId, groupId, part.taskId) === 0) return undefined;
      const now = this.#options.now();
      const until = now + CHORD_CLAIM_MS;
      if (sql.claim.run(groupId, claim, until, this.#options.expires(), now) === 0) return 'claimed';
      return sql.parts.all(groupId);
    });
    if (rows === 'claimed') return rows;
    return rows?.map(([one, place]) => decodePart(codec, one as Stored, place as number | null));
  }

  async grow(groupId: string, memberId: string, size: number): Promise<void> {
    const { db, sql } = await this.#open();
    await db.write(() => sql.grow.run(groupId, memberId, size, this.#options.expires()));
  }

  async end(groupId: string): Promise<void> {
    const { db, sql } = await this.#open();
    await db.write(() => {
      sql.end.run(groupId, this.#options.expires());
      sql.dropParts.run(groupId);
      sql.dropGrowth.run(groupId);
      sql.dropClaim.run(groupId);
    });
  }

  async sweep(nowMs: number): Promise<void> {
    const { db, sql } = await this.#open();
    await db.write(() => {
      for (const statement of sql.sweeps) statement.run(nowMs);
    });
  }
}

function prepare(db: Database): Statements {
  return {
    begin: db.prepare(`INSERT INTO chord (group_id, size, expires) VALUES (?, ?, ?)
      ON CONFLICT (group_id) DO UPDATE SET size = excluded.size, expires = excluded.expires, ended = 0,
        owner = CASE WHEN ended = 1 THEN NULL ELSE owner END`),
    state: db.prepare('SELECT size, ended FROM chord WHERE group_id = ?'),
    put: db.prepare(`INSERT INTO chord_part (group_id, task_id, place, success, part, expires) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT (group_id, task_id) DO UPDATE SET part = excluded.part, success = excluded.success,
        expires = excluded.expires WHERE excluded.success = 1 AND chord_part.success = 0`),
    counts: db.prepare(`SELECT (SELECT count(*) FROM chord_part WHERE group_id = ?),
      (SELECT coalesce(sum(size), 0) FROM chord_growth WHERE group_id = ?)`),
    own: db.prepare('UPDATE chord SET owner = ? WHERE group_id = ? AND (owner IS NULL OR owner = ?)'),
    claim: db.prepare(`INSERT INTO chord_claim (group_id, claim, until, expires) VALUES (?, ?, ?, ?)
      ON CONFLICT (group_id) DO UPDATE SET claim = excluded.claim, until = excluded.until
        WHERE claim = excluded.claim OR until <= ?`),
    parts: db.prepare('SELECT part, place FROM chord_part WHERE group_id = ? ORDER BY place IS NULL, place, task_id'),
    grow: db.prepare('INSERT OR IGNORE INTO chord_growth (group_id, task_id, size, expires) VALUES (?, ?, ?, ?)'),
    end: db.prepare(`INSERT INTO chord (group_id, ended, expires) VALUES (?, 1, ?)
      ON CONFLICT (group_id) DO UPDATE SET ended = 1, size = NULL, expires = excluded.expires`),
    dropParts: db.prepare('DELETE FROM chord_part WHERE group_id = ?'),
    dropGrowth: db.prepare('DELETE FROM chord_growth WHERE group_id = ?'),
    dropClaim: db.prepare('DELETE FROM chord_claim WHERE group_id = ?'),
    sweeps: TABLES.map((table) => db.prepare(`DELETE FROM ${table} WHERE expires <= ?`)),
  };
}
