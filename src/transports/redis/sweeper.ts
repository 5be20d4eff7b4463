import type { DriverContext } from '../transport.ts';
import type { BindingTable } from './bindings.ts';
import type { KeySpace } from './keys.ts';
import { QUARANTINE_TTL_MS } from './ledger.ts';
import type { RedisSettings } from './options.ts';
import { envelopePriority, markRedelivered, readRecord, type HeldRecord } from './record.ts';
import { isOver } from './holder.ts';
import { putBack, type Held } from './restore.ts';
import { CONDEMN, DEAD, EXPIRED, QUARANTINE, UNLOCK } from './scripts.ts';
import type { RedisSocket } from './socket.ts';

/*
 * dead      a connection of ours, of any process, that has not said for `lease_ttl` that it lives
 * expired   a message that its holder, Python or we, has not settled or renewed for `visibility_timeout`
 * sweep     puts both back
 */

const PAGE = 100;
/** A lock that stood in the way for so many sweeps belongs to a process that died with it. */
const PATIENCE = 10;

export class Sweeper {
  readonly #socket: RedisSocket;
  readonly #keys: KeySpace;
  readonly #settings: RedisSettings;
  readonly #bindings: BindingTable;
  readonly #context: DriverContext;
  #refused = 0;

  constructor(
    socket: RedisSocket,
    keys: KeySpace,
    settings: RedisSettings,
    bindings: BindingTable,
    context: DriverContext,
  ) {
    this.#socket = socket;
    this.#keys = keys;
    this.#settings = settings;
    this.#bindings = bindings;
    this.#context = context;
  }

  /**
   * Puts back at once what processes of this machine held that are gone: a worker that was killed and started again has
   * its messages back before its lease is over. One that is only frozen is not gone.
   */
  async takeOverGone(): Promise<void> {
    const holders = (await this.#socket.call('ZRANGE', this.#keys.workers, 0, -1)) as string[];
    for (const holder of holders.filter(isOver)) {
      if (Number(await this.#socket.run(CONDEMN, [this.#keys.workers], [holder])) === 1) await this.takeOver(holder);
    }
  }

  /**
   * Puts back what dead connections hold. Any number of peers may do so at the same time.
   * @param holder only what this one holds
   */
  async takeOver(holder = ''): Promise<void> {
    const keys = [this.#keys.workers, this.#keys.unackedIndex, this.#keys.unacked];
    for (let left = this.#settings.restoreLimit; left > 0; left -= PAGE) {
      const reply = (await this.#socket.run(DEAD, keys, [this.#keys.owned(''), PAGE, holder])) as string[] | null;
      if (!reply) return;
      const [dead = '', ...entries] = reply;
      const page: Held[] = [];
      for (let i = 0; i < entries.length; i += 4) {
        const [tag, score, readyKey, text] = entries.slice(i, i + 4) as [string, string, string, string];
        const record = await this.#readable(tag, score, text, this.#keys.owned(dead));
        if (record) page.push({ tag, score, targets: [readyKey], record });
      }
      if (page.length === 0) continue;
      const options = { first: true, counted: true, owned: this.#keys.owned(dead), deadOwner: dead };
      const count = await putBack(this.#socket, this.#keys, page, options);
      this.#context.log.warn({ holder: dead, count }, 'messages of a worker that died were put back');
    }
  }

  /** Puts back what has expired. Source: `QoS.restore_visible`. Differs: the score is checked again for each message. */
  async restoreExpired(): Promise<void> {
    const token = this.#context.random.uuid().replaceAll('-', '');
    const lock = await this.#lock(token);
    if (!lock) return;
    try {
      const keys = [this.#keys.unackedIndex, this.#keys.unacked];
      let stuck = 0;
      for (let left = this.#settings.restoreLimit; left > 0; left -= PAGE) {
        const args = [this.#settings.visibilityTimeoutMs / 1000, stuck, PAGE];
        const entries = (await this.#socket.run(EXPIRED, keys, args)) as string[];
        if (entries.length === 0) return;
        stuck += await this.#restorePage(entries);
      }
    } finally {
      await this.#socket.run(UNLOCK, [this.#keys.mutex], [token]);
    }
  }

  /** Python's lock. Everything under it is atomic by message, so it is taken out of courtesy, and not waited for. */
  async #lock(token: string): Promise<boolean> {
    const reply = await this.#socket.call(
      'SET',
      this.#keys.mutex,
      token,
      'PX',
      this.#settings.unackedMutexExpireMs,
      'NX',
    );
    if (reply === 'OK' || ++this.#refused >= PATIENCE) {
      this.#refused = 0;
      return true;
    }
    return false;
  }

  /** @returns how many stay expired, because no queue is known for them */
  async #restorePage(entries: readonly string[]): Promise<number> {
    const page: Held[] = [];
    let stuck = 0;
    for (let i = 0; i < entries.length; i += 3) {
      const [tag, score, text] = entries.slice(i, i + 3) as [string, string, string];
      const record = await this.#readable(tag, score, text, this.#keys.owned(''));
      if (!record) continue;
      const targets = await this.#targets(record);
      if (targets.length > 0) page.push({ tag, score, targets, record });
      else {
        stuck++;
        this.#context.log.error(
          { tag, exchange: record.exchange, routingKey: record.routingKey },
          'an expired message cannot be put back: no queue is bound to its exchange; it stays in the unacked hash',
        );
      }
    }
    if (page.length === 0) return stuck;
    const options = { first: true, counted: true, owned: this.#keys.owned(''), deadOwner: undefined };
    const count = await putBack(this.#socket, this.#keys, page, options);
    this.#context.log.warn({ count }, 'messages were put back whose visibility timeout had passed');
    return stuck;
  }

  /** The lists that kombu would restore to. */
  async #targets({ envelope, exchange, routingKey }: HeldRecord): Promise<string[]> {
    const priority = envelopePriority(envelope);
    if (exchange === '') return [this.#keys.readyFor(routingKey, priority)];
    const members = (await this.#socket.call('SMEMBERS', this.#keys.binding(exchange))) as string[];
    const known = members.length > 0 ? members : this.#bindings.declared(exchange);
    return this.#bindings.route(exchange, known, routingKey).map((queue) => this.#keys.readyFor(queue, priority));
  }

  /** The record of a held message; one that nobody can read is set aside, because Python's sweep would stop at it. */
  async #readable(tag: string, score: string, text: string, owned: string): Promise<HeldRecord | undefined> {
    const record = readRecord(text);
    if (record && markRedelivered(record.envelope) !== undefined) return record;
    const keys = [this.#keys.unackedIndex, this.#keys.unacked, owned, this.#keys.quarantine('unacked')];
    await this.#socket.run(QUARANTINE, keys, [tag, score, text, QUARANTINE_TTL_MS]);
    this.#context.log.error({ tag }, 'a held message that cannot be read was set aside');
    return undefined;
  }
}
