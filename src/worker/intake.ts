import { ConnectionLost, ContentDisallowed, DecodeError, InvalidTaskError } from '../errors.ts';
import { classify, decodeHeaders, decodeV1, decompressMessage } from '../protocol/decode.ts';
import type { TaskBody, TaskHeaders } from '../protocol/task-message.ts';
import { parseIso } from '../protocol/time.ts';
import type { Delivery, Transport } from '../transports/transport.ts';
import { discardExhausted, discardMalformed, discardUnknown } from './discard.ts';
import type { Executor } from './executor.ts';
import { Orphans } from './orphans.ts';
import type { WorkerParts } from './parts.ts';
import { Request, viewOf } from './request.ts';
import { settleRevoked } from './settle.ts';
import { decide } from './strategy.ts';

/** Messages held for their ETA where `workerEtaTaskLimit` sets no bound. */
const MOST_HELD = 10_000;

/** From a delivery to a request that runs, waits, goes back or is refused. Never throws. */
export class Intake {
  readonly #parts: WorkerParts;
  readonly #executor: Executor;
  readonly #transport: Transport;
  readonly #accept: ReadonlySet<string>;
  readonly #held = new Set<Request>();
  readonly #orphans: Orphans;
  #open = true;
  /** Told when the number of messages that do not count for the window has changed, or a running task has its own again. */
  onHeld: (() => void) | undefined;

  constructor(parts: WorkerParts, executor: Executor, transport: Transport) {
    this.#parts = parts;
    this.#executor = executor;
    this.#transport = transport;
    this.#accept = parts.app.serializers.acceptSet(parts.app.conf.acceptContent);
    this.#orphans = new Orphans(parts);
  }

  /** Requests that wait for their ETA. */
  get held(): ReadonlySet<Request> {
    return this.#held;
  }

  /** Hot path. Never throws: whatever a message holds, the next one is received. */
  readonly receive = (delivery: Delivery): void => {
    const { message } = delivery;
    const { maxMessageBytes } = this.#parts.app.conf;
    let headers: TaskHeaders | undefined;
    try {
      const other = classify(message) === 'other';
      // The headers first: whoever waits for the task is told.
      if (!other) headers = decodeHeaders(message);
      if (message.body.length > maxMessageBytes) {
        throw new InvalidTaskError(
          `body of ${message.body.length} bytes: expected at most ${maxMessageBytes} (maxMessageBytes)`,
        );
      }
      if (other || headers === undefined) {
        void this.#receiveOther(delivery);
        return;
      }
      this.#accepted(delivery, headers);
    } catch (error) {
      void discardMalformed(this.#parts, delivery, error, headers);
    }
  };

  /** Protocol 1 and whatever else arrives: only the body tells. */
  async #receiveOther(delivery: Delivery): Promise<void> {
    const { app } = this.#parts;
    try {
      const { message } = delivery;
      const plain =
        message.headers['compression'] === undefined
          ? message
          : await decompressMessage(message, app.conf.maxDecompressedBytes);
      const { headers, body } = decodeV1(plain, app.serializers, this.#accept);
      this.#accepted(delivery, headers, body);
    } catch (error) {
      const known =
        error instanceof DecodeError || error instanceof ContentDisallowed || error instanceof InvalidTaskError;
      const told = known ? error : new InvalidTaskError(String(error), { cause: error });
      await discardMalformed(this.#parts, delivery, told);
    }
  }

  #accepted(delivery: Delivery, headers: TaskHeaders, body?: TaskBody): void {
    const parts = this.#parts;
    const { app } = parts;
    if (!this.#open) {
      void delivery.reject({ requeue: true }).catch(() => {});
      return;
    }
    if (this.#orphans.adopt(delivery, headers.id)) {
      this.onHeld?.();
      return;
    }
    const task = app.tasks.get(headers.task);
    const etaMs = headers.eta === null ? undefined : parseIso(headers.eta);
    const expiresMs = headers.expires === null ? undefined : parseIso(headers.expires);
    if (!task) {
      void discardUnknown(parts, delivery, headers);
      return;
    }
    const request = new Request(delivery, headers, task, { etaMs, expiresMs }, body);
    const decision = decide({
      known: true,
      revoked: parts.revoked.covers(headers),
      etaMs,
      expiresMs,
      nowMs: app.clock.now(),
      horizonMs: this.#horizonMs(),
      heldEnough: this.#held.size >= (app.conf.workerEtaTaskLimit ?? MOST_HELD),
      deliveryCount: delivery.redelivered && delivery.suspicion !== undefined ? undefined : delivery.deliveryCount,
      maxDeliveries: task.options.acksLate ? app.conf.maxDeliveries : null,
    });
    switch (decision.kind) {
      case 'revoke':
        if (decision.reason === 'expired') parts.revoked.add(request.id);
        void settleRevoked(parts, request, decision.reason);
        return;
      case 'exhausted':
        void discardExhausted(parts, request);
        return;
      case 'delay':
        this.#received(request);
        void this.#delay(request, decision.delayMs);
        return;
      case 'hold':
        this.#received(request);
        this.#hold(request, decision.dueMs);
        return;
      default:
        this.#received(request);
        this.#executor.submit(request);
    }
  }

  #horizonMs(): number | undefined {
    const { etaHorizon } = this.#parts.app.conf;
    return etaHorizon === null || this.#transport.capabilities.delay !== 'native' ? undefined : etaHorizon * 1000;
  }

  #received(request: Request): void {
    const { app, events, hostname, log } = this.#parts;
    const { headers, task } = request;
    if (app.signals.has('taskReceived')) {
      const view = viewOf(request.delivery, headers, request.body, hostname);
      void app.signals.emit('taskReceived', { sender: task.name, request: view });
    }
    if (log.isLevelEnabled?.('info') ?? true) {
      const { argsrepr: args, kwargsrepr: kwargs, eta } = headers;
      log.info({ taskId: request.id, task: request.displayName, args, kwargs, eta }, 'task received');
    }
    if (!events.taskEvents || !task.options.sendEvents) return;
    events.send('task-received', {
      uuid: request.id,
      name: headers.task,
      args: headers.argsrepr,
      kwargs: headers.kwargsrepr,
      root_id: headers.root_id,
      parent_id: headers.parent_id,
      retries: headers.retries,
      eta: headers.eta,
      expires: headers.expires,
    });
  }

  #hold(request: Request, dueMs: number): void {
    request.state = 'held';
    this.#held.add(request);
    this.onHeld?.();
    request.timer = this.#parts.timers.at(dueMs, () => {
      this.#held.delete(request);
      this.onHeld?.();
      this.#executor.submit(request);
    });
  }

  /** Far ETAs wait in the broker: put there first, then acknowledged, so that a crash repeats and loses nothing. */
  async #delay(request: Request, delayMs: number): Promise<void> {
    const { delivery } = request;
    const { app, log } = this.#parts;
    try {
      // To this queue alone: through its exchange, a message bound to several queues would multiply.
      const to = { exchange: '', routingKey: delivery.queue };
      await app.publisher.publishRaw(delivery.message, to, { delayMs, etaMs: request.etaMs });
      await delivery.ack();
    } catch (error) {
      log.warn({ error, taskId: request.id }, 'a task with a far ETA could not be put back into the broker');
      await delivery.reject({ requeue: true }).catch(() => {});
    }
  }

  /** Revoked before its time came. @param signum not null: it was to be terminated */
  dropHeld(request: Request, signum: number | null): void {
    if (!this.#held.delete(request)) return;
    request.state = 'over';
    request.cancelTimers();
    this.onHeld?.();
    if (signum !== null) request.termination = { signum };
    void settleRevoked(this.#parts, request, signum === null ? 'revoked' : 'terminated');
  }

  /**
   * The connection is gone. Forgets what has not begun and remembers what runs. Most brokers deliver again what a lost
   * connection held; one whose leases outlive the connection has to be told, else the message waits for as long as
   * this worker lives.
   */
  lost(error: Error): void {
    const { running } = this.#executor;
    this.#parts.log.warn({ error, running: running.size }, 'connection to broker lost');
    for (const { delivery } of this.#takeIdle()) delivery.reject({ requeue: true }).catch(() => undefined);
    this.#orphans.remember(running);
    if (this.#parts.app.conf.workerCancelLongRunningTasksOnConnectionLoss) {
      for (const request of this.#orphans.take()) this.#executor.cancel(request, new ConnectionLost());
    }
  }

  /** Accepts nothing more. What has not begun goes back at once: others may run it while this worker drains. */
  async close(): Promise<void> {
    this.#open = false;
    await Promise.allSettled(this.#takeIdle().map(({ delivery }) => delivery.reject({ requeue: true })));
  }

  #takeIdle(): Request[] {
    const idle = [...this.#executor.takeWaiting(), ...this.#held];
    this.#held.clear();
    for (const request of idle) {
      request.state = 'over';
      request.cancelTimers();
    }
    return idle;
  }
}
