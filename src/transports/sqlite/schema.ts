/*
 * message   ready while `owner` is null and `due` is 0; waits while `due` is in the future
 * owner     a connection that holds messages or queues; `lease` is the time by which it must have renewed
 * once      messages that were taken and are not to be taken again; forgotten after a while
 * run       who ran a message that had come back: those who died under it, and who has it now
 * queue     known queues; those with an owner go when the owner goes
 *
 * Times are Unix milliseconds. `place` orders messages of one priority; at first it is the id.
 */
export const SCHEMA = `
CREATE TABLE IF NOT EXISTS message (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  queue TEXT NOT NULL,
  priority INTEGER NOT NULL,
  place INTEGER,
  due INTEGER NOT NULL,
  expires INTEGER,
  owner INTEGER,
  deliveries INTEGER NOT NULL DEFAULT 0,
  redelivered INTEGER NOT NULL DEFAULT 0,
  exchange TEXT NOT NULL,
  routing_key TEXT NOT NULL,
  content_type TEXT NOT NULL,
  content_encoding TEXT NOT NULL,
  headers TEXT NOT NULL,
  properties TEXT NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS message_ready ON message (queue, priority, ifnull(place, id)) WHERE owner IS NULL AND due = 0;
CREATE INDEX IF NOT EXISTS message_due ON message (due) WHERE due > 0;
CREATE INDEX IF NOT EXISTS message_owner ON message (owner) WHERE owner IS NOT NULL;
CREATE TABLE IF NOT EXISTS once (key TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS once_until ON once (until);
CREATE TABLE IF NOT EXISTS run (
  message INTEGER NOT NULL,
  owner INTEGER NOT NULL,
  PRIMARY KEY (message, owner)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owner (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  lease INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS exchange (name TEXT PRIMARY KEY, type TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queue (name TEXT PRIMARY KEY, ttl INTEGER, owner INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS binding (
  exchange TEXT NOT NULL,
  queue TEXT NOT NULL,
  routing_key TEXT NOT NULL,
  PRIMARY KEY (exchange, queue, routing_key)
) WITHOUT ROWID;
`;
