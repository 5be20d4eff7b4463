import { controlExchange, nodeQueue } from '../messaging/pidbox.ts';
import { withDeadline } from '../runtime/clock.ts';
import type { Connection } from '../transports/transport.ts';
import type { WorkerParts } from './parts.ts';

const ANSWER_MS = 1_000;
/** However slowly answers come, consuming begins after this long. */
const MOST_MS = 5_000;

/**
 * Before a worker consumes, it tells the others what it knows to be revoked, learns what they know, and sets its logical
 * clock past theirs. Where the broker says who listens, nobody is waited for who is not there.
 *
 * Source: celery.worker.consumer.mingle.Mingle.
 */
export class Mingle {
  readonly #parts: WorkerParts;
  #suspected: boolean | undefined;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
  }

  /** Never rejects: a worker that cannot reach the others still works. */
  async sync(connection: Connection): Promise<void> {
    const { app, log } = this.#parts;
    try {
      const others = await this.#others(connection);
      if (others === 0) {
        log.info({}, 'mingle: all alone');
        return;
      }
      log.info({}, 'mingle: searching for neighbors');
      await withDeadline(app.clock, MOST_MS, this.#greet(others), () => new Error('no end of answers'));
    } catch (error) {
      log.warn({ error }, 'mingle failed: what other workers know to be revoked is not known here');
    }
  }

  async #greet(others: number | undefined): Promise<void> {
    const { app, hostname, log, revoked } = this.#parts;
    const greeting = { from_node: hostname, revoked: revoked.exchange() };
    const replies = await app.control.broadcast('hello', greeting, { reply: true, timeout: ANSWER_MS, limit: others });
    let synced = 0;
    for (const { node, value } of replies) {
      if (node === hostname || typeof value !== 'object' || value === null || 'error' in value) continue;
      const { clock, revoked: theirs } = value as { readonly clock?: unknown; readonly revoked?: unknown };
      app.lamport.adjust(clock);
      revoked.merge(theirs);
      synced++;
    }
    log.info({ nodes: synced }, synced === 0 ? 'mingle: all alone' : 'mingle: sync complete');
  }

  /** How many mailboxes for remote control there are besides this worker's; undefined where the broker cannot tell. */
  async #others(connection: Connection): Promise<number | undefined> {
    const { app, hostname } = this.#parts;
    await using channel = await connection.channel();
    const { name } = controlExchange(app.conf.controlExchange);
    const bound = await channel.bindings?.(name);
    if (bound === undefined) return undefined;
    const own = nodeQueue(hostname, app.conf.controlExchange).name;
    const others = bound.filter(({ queue }) => queue !== own).length;
    this.#suspected ??= others < bound.length;
    return others;
  }

  /** Once this worker answers itself: whether another one has its name. Never rejects. */
  async findNamesake(): Promise<void> {
    // One that died leaves its mailbox: only a second answer proves anything.
    if (!this.#suspected) return;
    const { app, hostname, log } = this.#parts;
    try {
      const answers = await app.control.ping({ destination: [hostname], timeout: ANSWER_MS, limit: 2 });
      if (answers.length < 2) return;
      log.warn(
        { node: hostname },
        'another worker has the same node name: commands and monitors mix the two up; give each its own (-n)',
      );
    } catch (error) {
      log.debug({ error }, 'whether another worker has the same node name is not known');
    }
  }
}
