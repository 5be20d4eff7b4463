import type { Channel as RawChannel, ConfirmChannel } from 'amqplib';
import { OperationalError, UsageError, type CeleryError } from '../../errors.ts';
import { withDeadline, type Timer } from '../../runtime/clock.ts';
import { deferred } from '../../runtime/deferred.ts';
import type { Channel, Connection, DriverContext } from '../transport.ts';
import { AmqpChannel } from './channel.ts';
import type { Link } from './client.ts';
import { DelayedLevels } from './delayed.ts';
import { lost, translate } from './errors.ts';
import { Lane } from './lane.ts';
import { RunNotes } from './run-notes.ts';
import type { AmqpSettings } from './options.ts';

/** What the connections of one transport share. */
export interface TransportState {
  readonly settings: AmqpSettings;
  readonly context: DriverContext;
  /** The broker has refused a window that several consumers share: later connections do not ask for one. */
  refusesSharedWindow: boolean;
  /** Notes of runs whose connection broke: the next one crosses them out. */
  readonly notesLeft: Set<string>;
}

/** Asks the broker from time to time whether what it reads from is there. */
export interface Probed {
  probe(): Promise<void>;
}

/**
 * One link to the broker. Whatever goes wrong with it, an answer that does not come included, ends it whole;
 * what a channel complains about ends that channel alone.
 */
export class AmqpConnection implements Connection {
  readonly closed: Promise<CeleryError | undefined>;
  readonly state: TransportState;
  readonly rabbit: Link['rabbit'];
  /** For questions: declarations, counts. */
  readonly lane: Lane;
  readonly notes: RunNotes;
  /** undefined: far ETAs wait in the worker. */
  readonly delayed: DelayedLevels | undefined;
  /** Entities that were declared on this connection. */
  readonly declared = new WeakSet<object>();
  readonly #link: Link;
  readonly #closed = deferred<CeleryError | undefined>();
  readonly #channels = new Set<AmqpChannel>();
  readonly #probed = new Set<Probed>();
  #probeTimer: Timer | undefined;
  #ended: CeleryError | undefined;
  #closing: Promise<void> | undefined;

  constructor(link: Link, state: TransportState) {
    this.#link = link;
    this.state = state;
    this.rabbit = link.rabbit;
    this.closed = this.#closed.promise;
    this.lane = new Lane(this);
    this.notes = new RunNotes(this, state.notesLeft);
    const { delayedDelivery } = state.settings;
    this.delayed = delayedDelivery && new DelayedLevels(this, delayedDelivery);
    void link.closed.then((error) => this.#end(error === undefined ? undefined : translate(error, 'AMQP')));
  }

  get context(): DriverContext {
    return this.state.context;
  }

  get settings(): AmqpSettings {
    return this.state.settings;
  }

  /** What ended it, once it has ended. */
  get ended(): CeleryError | undefined {
    return this.#ended;
  }

  async channel(): Promise<Channel> {
    this.#usable();
    const channel = new AmqpChannel(this, () => this.#channels.delete(channel));
    this.#channels.add(channel);
    return channel;
  }

  #usable(): void {
    if (this.#ended) throw this.#ended;
    if (this.#closing) throw new UsageError('the AMQP connection is closed; connect again');
  }

  /** A channel of the client library. Its errors are the business of who asked for it. */
  openRaw(): Promise<RawChannel> {
    return this.answer('opening a channel', () => this.#link.model.createChannel());
  }

  openConfirming(): Promise<ConfirmChannel> {
    return this.answer('opening a channel', () => this.#link.model.createConfirmChannel());
  }

  /** Does what the broker answers; without an answer in time the connection is given up. */
  async answer<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.#ended) throw this.#ended;
    const timeoutMs = this.settings.answerTimeoutMs;
    try {
      return await withDeadline(this.context.clock, timeoutMs, work(), () => {
        const error = new OperationalError(`${what}: the broker did not answer within ${timeoutMs / 1000} s`, {
          recoverable: true,
        });
        this.fail(error);
        return error;
      });
    } catch (error) {
      throw this.#ended ?? translate(error, what);
    }
  }

  /** Gives the connection up. Harmless twice. */
  fail(error: CeleryError): void {
    this.#end(error);
    this.#link.kill();
  }

  /** Probes it now and then until it is dismissed. */
  watch(probed: Probed): void {
    this.#probed.add(probed);
    this.#probeTimer ??= this.#nextProbe();
  }

  dismiss(probed: Probed): void {
    this.#probed.delete(probed);
  }

  #nextProbe(): Timer {
    return this.context.clock.setTimer(
      this.settings.probeIntervalMs,
      () => {
        this.#probeTimer = undefined;
        void this.#probe();
      },
      { keepAlive: false },
    );
  }

  async #probe(): Promise<void> {
    for (const probed of [...this.#probed]) if (!this.#ended) await probed.probe();
    if (!this.#ended && this.#probed.size > 0) this.#probeTimer ??= this.#nextProbe();
  }

  #end(error: CeleryError | undefined): void {
    if (this.#ended) return;
    this.#ended = error ?? lost('the AMQP connection was closed');
    if (error && /global qos/i.test(error.message)) this.state.refusesSharedWindow = true;
    this.#probeTimer?.cancel();
    this.notes.leave();
    for (const channel of this.#channels) channel.lost(this.#ended);
    this.#closed.resolve(error);
  }

  /** Harmless twice, and after a failure. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    if (this.#ended) return;
    const timeoutMs = this.settings.answerTimeoutMs;
    try {
      const goodbye = async (): Promise<void> => {
        await this.notes.endAll();
        // The client library sends the connection's farewell ahead of what its channels have not sent yet.
        await Promise.allSettled([...this.#channels].map((channel) => channel.close()));
        await this.#link.model.close();
      };
      await withDeadline(this.context.clock, timeoutMs, goodbye(), () => lost('closing took too long'));
    } catch (error) {
      this.context.log.debug({ error }, 'closing the AMQP connection in peace failed');
    }
    this.#end(undefined);
    this.#link.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
