import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { ChannelError } from '../../errors.ts';
import type { Binding, Entity, Exchange, ExchangeType } from '../../messaging/entity.ts';
import type { Message, MessageProperties } from '../../protocol/message.ts';
import { dumps, loads } from '../../serializers/json.ts';
import type { Database, Row, Statement } from '../../sqlite/database.ts';
import type { Destination } from '../transport.ts';
import { refuseHeaders, routes } from '../virtual/topic.ts';

/** A message as a claim hands it out. */
export interface Claimed {
  readonly id: number;
  readonly deliveries: number;
  readonly redelivered: boolean;
  readonly exchange: string;
  readonly routingKey: string;
  readonly message: Message;
}

const COLUMNS =
  'id, priority, ifnull(place, id), deliveries, redelivered, exchange, routing_key, content_type, content_encoding, headers, properties, body';

const READY = 'owner IS NULL AND due = 0';

/** How long it is remembered that a message was taken. */
const ONCE_MS = 3_600_000;

/** The statements of the broker, each a few microseconds; their caller has a transaction open where they write. */
export class Tables {
  readonly #insert: Statement;
  readonly #claim: Statement;
  readonly #take: Statement;
  readonly #anyReady: Statement;
  readonly #size: Statement;
  readonly #remove: Statement;
  readonly #giveBack: Statement;
  readonly #restore: Statement;
  readonly #held: Statement;
  readonly #promote: Statement;
  readonly #nextDue: Statement;
  readonly #expire: Statement;
  readonly #purge: Statement;
  readonly #exchangeType: Statement;
  readonly #addExchange: Statement;
  readonly #addQueue: Statement;
  readonly #addBinding: Statement;
  readonly #bindings: Statement;
  readonly #allBindings: Statement;
  readonly #dropExchange: Statement;
  readonly #dropExchangeBindings: Statement;
  readonly #dropMessages: Statement;
  readonly #dropQueue: Statement;
  readonly #dropBindings: Statement;
  readonly #addOwner: Statement;
  readonly #renew: Statement;
  readonly #owners: Statement;
  readonly #releaseOwner: Statement;
  readonly #ownedQueues: Statement;
  readonly #dropOwner: Statement;
  readonly #noteRun: Statement;
  readonly #runners: Statement;
  readonly #crossOut: Statement;
  readonly #dropNotes: Statement;
  readonly #remember: Statement;
  readonly #forget: Statement;

  constructor(db: Database) {
    // The least of what the message and its queue allow; the lookup inside costs a tenth of a statement of its own.
    this.#insert = db.prepare(
      `INSERT INTO message (queue, priority, due, expires, exchange, routing_key, content_type, content_encoding,
       headers, properties, body)
       VALUES (?1, ?2, ?3, nullif(min(ifnull(?4, 9e15), ifnull(?12 + (SELECT ttl FROM queue WHERE name = ?1), 9e15)), 9e15),
       ?5, ?6, ?7, ?8, ?9, ?10, ?11)`,
    );
    const next = `SELECT id FROM message WHERE queue = ? AND ${READY} AND (expires IS NULL OR expires > ?)
      ORDER BY priority, ifnull(place, id) LIMIT ?`;
    this.#claim = db.prepare(
      `UPDATE message SET owner = ?, deliveries = deliveries + 1 WHERE id IN (${next}) RETURNING ${COLUMNS}`,
    );
    this.#take = db.prepare(`DELETE FROM message WHERE id IN (${next}) RETURNING ${COLUMNS}`);
    this.#anyReady = db.prepare(`SELECT 1 FROM message WHERE queue = ? AND ${READY} LIMIT 1`);
    this.#size = db.prepare(`SELECT count(*) FROM message WHERE queue = ? AND ${READY}`);
    this.#remove = db.prepare('DELETE FROM message WHERE id = ? AND owner = ?');
    this.#giveBack = db.prepare(
      `UPDATE message SET owner = NULL, redelivered = 1, deliveries = deliveries - 1,
       place = (SELECT seq + 1 FROM sqlite_sequence WHERE name = 'message') WHERE id = ? AND owner = ?`,
    );
    this.#restore = db.prepare(
      'UPDATE message SET owner = NULL, redelivered = 1, deliveries = deliveries - 1 WHERE id = ? AND owner = ?',
    );
    this.#held = db.prepare('SELECT 1 FROM message WHERE id = ? AND owner = ?');
    this.#promote = db.prepare('UPDATE message SET due = 0, place = NULL WHERE due > 0 AND due <= ?');
    this.#nextDue = db.prepare('SELECT min(due) FROM message WHERE due > 0');
    this.#expire = db.prepare('DELETE FROM message WHERE expires <= ? AND owner IS NULL');
    this.#purge = db.prepare(`DELETE FROM message WHERE queue = ? AND ${READY}`);
    this.#exchangeType = db.prepare('SELECT type FROM exchange WHERE name = ?');
    this.#addExchange = db.prepare('INSERT INTO exchange (name, type) VALUES (?, ?) ON CONFLICT DO NOTHING');
    this.#addQueue = db.prepare(
      'INSERT INTO queue (name, ttl, owner) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET owner = excluded.owner',
    );
    this.#addBinding = db.prepare(
      'INSERT INTO binding (exchange, queue, routing_key) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    );
    this.#bindings = db.prepare('SELECT queue, routing_key FROM binding WHERE exchange = ?');
    this.#dropMessages = db.prepare('DELETE FROM message WHERE queue = ?');
    this.#dropQueue = db.prepare('DELETE FROM queue WHERE name = ?');
    this.#allBindings = db.prepare('SELECT exchange, queue, routing_key FROM binding');
    this.#dropExchange = db.prepare('DELETE FROM exchange WHERE name = ?');
    this.#dropExchangeBindings = db.prepare('DELETE FROM binding WHERE exchange = ?');
    this.#dropBindings = db.prepare('DELETE FROM binding WHERE queue = ?');
    this.#addOwner = db.prepare('INSERT INTO owner (host, pid, lease) VALUES (?, ?, ?) RETURNING id');
    this.#renew = db.prepare('UPDATE owner SET lease = ? WHERE id = ?');
    this.#owners = db.prepare('SELECT id, host, pid, lease FROM owner');
    this.#releaseOwner = db.prepare('UPDATE message SET owner = NULL, redelivered = 1 WHERE owner = ?');
    this.#ownedQueues = db.prepare('SELECT name FROM queue WHERE owner = ?');
    this.#dropOwner = db.prepare('DELETE FROM owner WHERE id = ?');
    this.#noteRun = db.prepare('INSERT INTO run (message, owner) VALUES (?, ?) ON CONFLICT DO NOTHING');
    this.#runners = db.prepare('SELECT count(*) FROM run WHERE message = ? AND owner <> ?');
    this.#crossOut = db.prepare('DELETE FROM run WHERE message = ? AND owner = ?');
    this.#dropNotes = db.prepare('DELETE FROM run WHERE message NOT IN (SELECT id FROM message)');
    this.#remember = db.prepare('INSERT INTO once (key, until) VALUES (?, ?) ON CONFLICT DO NOTHING');
    this.#forget = db.prepare('DELETE FROM once WHERE until <= ?');
  }

  // ── messages

  /** @returns false: a message with this key was taken before */
  isFirst(key: string, nowMs: number): boolean {
    this.#forget.run(Math.round(nowMs));
    return this.#remember.run(key, Math.round(nowMs) + ONCE_MS) > 0;
  }

  /** Puts the message into every queue it is routed to. @returns those queues */
  publish(message: Message, to: Destination, nowMs: number, dueMs: number): string[] {
    const queues = to.exchange === '' ? [to.routingKey] : this.#route(to);
    const headers = dumps(message.headers);
    const properties = dumps(withoutUndefined(message.properties));
    const priority = Math.min(9, Math.max(0, Math.trunc(message.properties.priority ?? 0) || 0));
    const expiration = Number(message.properties.expiration ?? NaN);
    const expires = Number.isNaN(expiration) ? null : Math.round(nowMs + expiration);
    for (const queue of queues) {
      this.#insert.run(
        queue,
        priority,
        dueMs,
        expires,
        to.exchange,
        to.routingKey,
        message.contentType,
        message.contentEncoding,
        headers,
        properties,
        message.body,
        Math.round(nowMs),
      );
    }
    return queues;
  }

  #route({ exchange, routingKey }: Destination): string[] {
    const type = (this.#exchangeType.first(exchange)?.[0] ?? 'direct') as ExchangeType;
    const bindings = this.#bindings.all(exchange).map(([queue, key]): Binding => {
      return { kind: 'binding', exchange, queue: queue as string, routingKey: key as string };
    });
    return routes(bindings, type, routingKey, {});
  }

  anyReady(queue: string): boolean {
    return this.#anyReady.first(queue) !== undefined;
  }

  claim(queue: string, owner: number, nowMs: number, limit: number): Claimed[] {
    return inOrder(this.#claim.all(owner, queue, nowMs, limit));
  }

  /** Claims and forgets at once. */
  take(queue: string, nowMs: number, limit: number): Claimed[] {
    return inOrder(this.#take.all(queue, nowMs, limit));
  }

  /** @returns whether the owner held it */
  remove(id: number, owner: number): boolean {
    return this.#remove.run(id, owner) > 0;
  }

  /** Back of the queue; does not count as a delivery, because it was returned on purpose. */
  giveBack(id: number, owner: number): boolean {
    return this.#giveBack.run(id, owner) > 0;
  }

  /** Back to its place. */
  restore(id: number, owner: number): boolean {
    return this.#restore.run(id, owner) > 0;
  }

  holds(id: number, owner: number): boolean {
    return this.#held.first(id, owner) !== undefined;
  }

  /** Writes down that a message runs. @returns how many earlier runs were written down, and their owners died */
  noteRun(id: number, owner: number): number {
    this.#dropNotes.run();
    this.#noteRun.run(id, owner);
    return Number(this.#runners.first(id, owner)?.[0]);
  }

  crossOut(id: number, owner: number): void {
    this.#crossOut.run(id, owner);
  }

  /** Makes ready what has become due. @returns how many */
  promote(nowMs: number): number {
    return this.#promote.run(nowMs);
  }

  /** When the next delayed message is due. */
  nextDueMs(): number | undefined {
    const due = this.#nextDue.first()?.[0];
    return typeof due === 'number' ? due : undefined;
  }

  dropExpired(nowMs: number): number {
    return this.#expire.run(nowMs);
  }

  size(queue: string): number {
    return Number(this.#size.first(queue)?.[0] ?? 0);
  }

  purge(queue: string): number {
    return this.#purge.run(queue);
  }

  // ── entities

  /** @throws {ChannelError} when the exchange exists with another type */
  declare(entity: Entity, owner: number | null): void {
    if (entity.kind === 'exchange') return this.#declareExchange(entity);
    if (entity.kind === 'binding') {
      this.#addBinding.run(entity.exchange, entity.queue, entity.routingKey);
      return;
    }
    this.#addQueue.run(entity.name, entity.messageTtlMs ?? null, entity.autoDelete || entity.exclusive ? owner : null);
    for (const one of entity.bindings ?? []) {
      if (one.declares !== undefined) this.#declareExchange(one.declares);
      this.#addBinding.run(one.exchange, one.queue, one.routingKey);
    }
    if (!entity.exchange || entity.exchange.name === '') return;
    this.#declareExchange(entity.exchange);
    this.#addBinding.run(entity.exchange.name, entity.name, entity.routingKey);
  }

  #declareExchange(exchange: Exchange): void {
    refuseHeaders(exchange);
    const { name, type } = exchange;
    const present = this.#exchangeType.first(name)?.[0];
    if (present === undefined) this.#addExchange.run(name, type);
    else if (present !== type) {
      throw new ChannelError(
        `exchange "${name}" exists with type ${String(present)}; it cannot be declared as ${type}`,
      );
    }
  }

  deleteQueue(queue: string): void {
    this.#dropMessages.run(queue);
    this.#dropBindings.run(queue);
    this.#dropQueue.run(queue);
  }

  deleteExchange(exchange: string): void {
    this.#dropExchange.run(exchange);
    this.#dropExchangeBindings.run(exchange);
  }

  bindings(): Binding[] {
    return this.#allBindings.all().map(([exchange, queue, key]) => {
      return { kind: 'binding', exchange: exchange as string, queue: queue as string, routingKey: key as string };
    });
  }

  // ── owners

  addOwner(leaseMs: number): number {
    return Number(this.#addOwner.first(HOST, process.pid, Math.round(leaseMs))?.[0]);
  }

  /** @returns false when somebody has taken over already */
  renew(owner: number, leaseMs: number): boolean {
    return this.#renew.run(Math.round(leaseMs), owner) > 0;
  }

  /** Owners whose lease is over, or whose process on this machine is gone. */
  deadOwners(nowMs: number): number[] {
    return this.#owners
      .all()
      .filter(([, host, pid, lease]) => Number(lease) < nowMs || (host === HOST && !isAlive(Number(pid))))
      .map(([id]) => Number(id));
  }

  /** Returns everything an owner holds, and removes its own queues. @returns how many messages */
  release(owner: number): number {
    const returned = this.#releaseOwner.run(owner);
    for (const [name] of this.#ownedQueues.all(owner)) this.deleteQueue(name as string);
    this.#dropOwner.run(owner);
    return returned;
  }
}

/** Processes can be asked after only within one process namespace of one machine. */
const HOST = `${hostname()} ${namespace()}`;

function namespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return process.platform;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function withoutUndefined(properties: MessageProperties): MessageProperties {
  for (const name in properties) {
    if (properties[name as keyof MessageProperties] !== undefined) continue;
    return Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));
  }
  return properties;
}

function inOrder(rows: Row[]): Claimed[] {
  if (rows.length > 1) {
    rows.sort((a, b) => Number(a[1]) - Number(b[1]) || Number(a[2]) - Number(b[2]));
  }
  return rows.map((row) => ({
    id: row[0] as number,
    deliveries: row[3] as number,
    redelivered: row[4] === 1,
    exchange: row[5] as string,
    routingKey: row[6] as string,
    message: {
      contentType: row[7] as string,
      contentEncoding: row[8] as string,
      headers: loads(row[9] as string) as Message['headers'],
      properties: loads(row[10] as string) as MessageProperties,
      body: row[11] as Uint8Array,
    },
  }));
}
