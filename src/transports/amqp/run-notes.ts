import { queue } from '../../messaging/entity.ts';
import { sleep } from '../../runtime/clock.ts';
import type { Suspicion } from '../transport.ts';
import type { AmqpConnection } from './connection.ts';
import { declare } from './declare.ts';

/*
 * Which runs of a message ended with the death of their worker. Quorum queues count how often a message came back, but
 * not why: a stopped worker and a broken link count like a death. So from a message that came back, a run is written
 * down before it begins and crossed out when it is settled. What stands there afterwards was a death.
 *
 * note   a message in a queue of its own, named after the task; the queue is deleted to cross it out, and expires
 */

const PREFIX = 'celeriac.run.';
const EXPIRES_MS = 24 * 60 * 60 * 1000;
const LONGEST_NAME = 255;
/** A worker that only lost its link crosses out what it wrote as soon as it has another. */
const RECONNECT_MS = 10_000;
const LOOK_AGAIN_MS = 500;

/** The notes of one connection. What it leaves behind when it breaks, the next one of this process crosses out. */
export class RunNotes {
  readonly #connection: AmqpConnection;
  readonly #left: Set<string>;
  readonly #written = new Set<string>();

  /** @param left notes of this process whose connection broke */
  constructor(connection: AmqpConnection, left: Set<string>) {
    this.#connection = connection;
    this.#left = left;
  }

  /** Crosses out what an earlier connection left behind. Never rejects. */
  async resume(): Promise<void> {
    await this.#crossOut([...this.#left]);
  }

  /** @param task what tells the message from others; undefined: nothing does */
  suspicion(task: string | undefined, returns: number): RunSuspicion | undefined {
    const name = `${PREFIX}${task}`;
    if (task === undefined || Buffer.byteLength(name) > LONGEST_NAME) return undefined;
    return new RunSuspicion(this, name, returns);
  }

  /** @returns whether an earlier note stands: nobody but a worker that died leaves it there */
  async begin(name: string): Promise<boolean> {
    const { clock } = this.#connection.context;
    const deadlineMs = clock.monotonic() + RECONNECT_MS;
    while (!this.#written.has(name) && (await this.#stands(name))) {
      if (clock.monotonic() > deadlineMs) return true;
      await sleep(clock, LOOK_AGAIN_MS);
    }
    this.#written.add(name);
    const { lane } = this.#connection;
    await declare(lane, queue(name, { expiresMs: EXPIRES_MS }));
    await lane.ask('noting that a run begins', (raw) => {
      raw.sendToQueue(name, Buffer.alloc(0), { persistent: true });
      return raw.checkQueue(name);
    });
    return false;
  }

  /** Never rejects. */
  async end(name: string): Promise<void> {
    this.#written.delete(name);
    await this.#crossOut([name]);
  }

  /** The connection is about to close, and what it holds goes back. Never rejects. */
  async endAll(): Promise<void> {
    await this.#crossOut([...this.#written]);
    this.#written.clear();
  }

  /** The connection has broken. */
  leave(): void {
    for (const name of this.#written) this.#left.add(name);
  }

  async #stands(name: string): Promise<boolean> {
    // Declared, not looked for: asking for a queue that is not there costs the lane its channel.
    const { lane } = this.#connection;
    await declare(lane, queue(name, { expiresMs: EXPIRES_MS }));
    const { messageCount } = await lane.ask('looking for a note', (raw) => raw.checkQueue(name));
    return messageCount > 0;
  }

  async #crossOut(names: readonly string[]): Promise<void> {
    for (const name of names) {
      try {
        await this.#connection.lane.ask('crossing out a note', (raw) => raw.deleteQueue(name));
        this.#left.delete(name);
      } catch (error) {
        this.#connection.context.log.debug({ error, name }, 'a note that a task runs could not be crossed out');
        if (this.#connection.ended) this.#left.add(name);
      }
    }
  }
}

export class RunSuspicion implements Suspicion {
  readonly returns: number;
  readonly #notes: RunNotes;
  readonly #name: string;
  /** Whether the note that stands is this run's, or that of an earlier one. */
  #state: 'none' | 'own' | 'earlier' = 'none';

  constructor(notes: RunNotes, name: string, returns: number) {
    this.#notes = notes;
    this.#name = name;
    this.returns = returns;
  }

  async begin(): Promise<boolean> {
    const died = await this.#notes.begin(this.#name);
    this.#state = died ? 'earlier' : 'own';
    return died;
  }

  /** A message that is given back keeps the note of an earlier death. */
  settled(forGood: boolean): void {
    if (this.#state === 'own' || (this.#state === 'earlier' && forGood)) void this.#notes.end(this.#name);
  }
}
