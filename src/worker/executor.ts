import { startedRecord } from '../app/follow-up.ts';
import type { TaskRequest } from '../app/request.ts';
import { failure, type Outcome } from '../app/trace.ts';
import { SoftTimeLimitExceeded, TaskRevokedError, TimeLimitExceeded } from '../errors.ts';
import { decodeBody, decompressMessage } from '../protocol/decode.ts';
import { Cancellation } from '../runtime/cancellation.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import type { Pool } from '../pools/pool.ts';
import { discardMalformed } from './discard.ts';
import type { WorkerParts } from './parts.ts';
import { RateLimits } from './rate-limit.ts';
import { viewOf, type Request } from './request.ts';
import { acknowledge, settle, settleRevoked } from './settle.ts';

/** Limits for tasks that have none of their own. */
export interface DefaultLimits {
  readonly timeLimitMs: number | null;
  readonly softTimeLimitMs: number | null;
}

/**
 * Runs accepted requests: one after the other per slot, in the order of arrival, each within its limits.
 * A slot is free as soon as the run is over; settling goes on meanwhile, bounded by the prefetch window.
 */
export class Executor {
  readonly #parts: WorkerParts;
  readonly #pool: Pool;
  readonly #limits: DefaultLimits;
  readonly #accept: ReadonlySet<string>;
  readonly #waiting: Request[] = [];
  #head = 0;
  readonly #running = new Set<Request>();
  #settling = 0;
  #idle: Deferred<void> | undefined;
  readonly rateLimits: RateLimits;

  constructor(parts: WorkerParts, pool: Pool, limits: DefaultLimits) {
    this.#parts = parts;
    this.#pool = pool;
    this.#limits = limits;
    this.#accept = parts.app.serializers.acceptSet(parts.app.conf.acceptContent);
    this.rateLimits = new RateLimits(parts.timers, parts.app.clock, (request) => this.#enqueue(request));
  }

  get running(): ReadonlySet<Request> {
    return this.#running;
  }

  get waiting(): readonly Request[] {
    return this.#waiting.slice(this.#head);
  }

  /** Hands a request over: it runs when a slot and, where limited, a token are free. */
  submit(request: Request): void {
    request.state = 'waiting';
    const { rateLimit } = request.task.options;
    const limited = (rateLimit !== null || this.rateLimits.any) && !this.#parts.app.conf.workerDisableRateLimits;
    if (limited && this.rateLimits.takes(request)) return;
    this.#enqueue(request);
  }

  #enqueue(request: Request): void {
    if (this.#running.size < this.#pool.size && this.#waiting.length === this.#head) void this.#start(request);
    else this.#waiting.push(request);
  }

  /** Takes back what has not begun, so that its owner can return it to the broker. */
  takeWaiting(): Request[] {
    const waiting = [...this.waiting, ...this.rateLimits.clear()];
    this.#waiting.length = 0;
    this.#head = 0;
    return waiting.filter((request) => request.state === 'waiting');
  }

  /** Resolves when nothing runs and everything that ran is settled. */
  idle(): Promise<void> {
    if (this.#running.size === 0 && this.#settling === 0) return Promise.resolve();
    this.#idle ??= deferred();
    return this.#idle.promise;
  }

  /** Lets go what may run since the pool grew. */
  refill(): void {
    while (this.#running.size < this.#pool.size && this.#head < this.#waiting.length) {
      const request = this.#waiting[this.#head] as Request;
      this.#waiting[this.#head++] = undefined as never;
      if (this.#head > 1024) {
        this.#waiting.splice(0, this.#head);
        this.#head = 0;
      }
      if (request.state === 'waiting') void this.#start(request);
    }
    if (this.#head === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#head = 0;
    }
    if (this.#idle && this.#running.size === 0 && this.#settling === 0) {
      this.#idle.resolve();
      this.#idle = undefined;
    }
  }

  /** Ends a request that is revoked: at once when it has not begun, by its signal when it runs. */
  terminate(request: Request, signum: number | null): void {
    request.termination = { signum };
    if (request.state !== 'running') return;
    request.cancellation?.abort(new TaskRevokedError('terminated'));
    this.#finish(request, undefined);
  }

  /**
   * Cold stop: aborts what runs and forgets it. Its outcome changes nothing any more; a late-ack message is
   * returned with the connection, so the task runs again.
   */
  abandon(reason: Error): void {
    for (const request of this.#running) {
      request.abandoned = true;
      request.cancelTimers();
      request.cancellation?.abort(reason);
    }
  }

  /** Hot path: kept flat. 1 check again, 2 read the body, 3 begin, 4 run, 5 finish. */
  async #start(request: Request): Promise<void> {
    const { app, revoked, log, events, counters } = this.#parts;
    request.state = 'running';
    this.#running.add(request);
    // 1
    const held = request.delivery.held();
    if (held !== true && !(await this.#stillHeld(request, held))) return this.#leave(request);
    if (isOver(request)) return;
    if (revoked.has(request.id)) return this.#revoke(request, request.termination ? 'terminated' : 'revoked');
    if (request.expiresMs !== undefined && app.clock.now() > request.expiresMs) return this.#revoke(request, 'expired');
    // 2
    if (request.body === undefined) {
      try {
        let { message } = request.delivery;
        if (request.headers.compression !== undefined) {
          message = await decompressMessage(message, app.conf.maxDecompressedBytes);
        }
        request.body = decodeBody(message, app.serializers, this.#accept);
      } catch (error) {
        await discardMalformed(this.#parts, request.delivery, error, request.headers);
        return this.#leave(request);
      }
      if (isOver(request)) return;
    }
    const view = viewOf(request.delivery, request.headers, request.body, this.#parts.hostname);
    request.view = view;
    // 3
    const { task } = request;
    const cancellation = new Cancellation();
    request.cancellation = cancellation;
    request.startedMs = app.clock.now();
    this.#startLimits(request);
    const name = request.displayName;
    counters.total.set(name, (counters.total.get(name) ?? 0) + 1);
    if (!task.options.acksLate) acknowledge(this.#parts, request);
    if (events.taskEvents && task.options.sendEvents) events.send('task-started', { uuid: request.id });
    if (task.options.trackStarted && !request.ignoresResult) {
      await this.#storeStarted(request);
      if (isOver(request)) return;
    }
    // 4
    let outcome: Outcome;
    try {
      outcome = await this.#pool.run({ task, request: view }, cancellation);
    } catch (error) {
      log.error({ error, taskId: request.id, task: name }, 'the pool lost a task');
      outcome = failure(app, task, error);
    }
    // 5
    this.#finish(request, outcome);
  }

  /** @param outcome undefined: the request was terminated */
  #finish(request: Request, outcome: Outcome | undefined): void {
    if (request.state !== 'running') {
      // The hard limit or a termination was settled before; this is the code that went on regardless.
      return;
    }
    request.state = 'over';
    request.cancelTimers();
    if (request.abandoned && outcome?.kind !== 'success') return this.#leave(request);
    this.#settling++;
    const settled =
      outcome === undefined ? settleRevoked(this.#parts, request, 'terminated') : settle(this.#parts, request, outcome);
    this.#running.delete(request);
    void settled.then(() => {
      this.#settling--;
      if (this.#idle) this.refill();
    });
    this.refill();
  }

  /** After a pause of the whole process, what was fetched ahead may be somebody else's by now. */
  async #stillHeld(request: Request, asked: Promise<boolean>): Promise<boolean> {
    const held = await asked.catch(() => true);
    if (!held) {
      this.#parts.counters.leasesLost++;
      const fields = { taskId: request.id, task: request.displayName, code: 'lease-lost' };
      this.#parts.log.warn(fields, 'lease lost before the task began: the message belongs to another worker now');
    }
    return held;
  }

  async #revoke(request: Request, reason: 'revoked' | 'expired' | 'terminated'): Promise<void> {
    if (reason === 'expired') this.#parts.revoked.add(request.id);
    await settleRevoked(this.#parts, request, reason);
    this.#leave(request);
  }

  #leave(request: Request): void {
    request.state = 'over';
    request.cancelTimers();
    this.#running.delete(request);
    this.refill();
  }

  async #storeStarted(request: Request): Promise<void> {
    const { app, backend, hostname, log } = this.#parts;
    try {
      await backend.store(startedRecord(app, request.view as TaskRequest, { pid: process.pid, hostname }));
    } catch (error) {
      log.warn({ error, taskId: request.id, task: request.displayName, app: app.main }, 'STARTED could not be stored');
    }
  }

  #startLimits(request: Request): void {
    const [hardSeconds, softSeconds] = request.headers.timelimit;
    const { options } = request.task;
    const hardMs = hardSeconds ? hardSeconds * 1000 : (options.timeLimitMs ?? this.#limits.timeLimitMs);
    const softMs = softSeconds ? softSeconds * 1000 : (options.softTimeLimitMs ?? this.#limits.softTimeLimitMs);
    if (!hardMs && !softMs) return;
    const { timers, log } = this.#parts;
    const startedMs = request.startedMs as number;
    const fields = { taskId: request.id, task: request.displayName };
    if (softMs) {
      request.softTimer = timers.at(startedMs + softMs, () => {
        log.warn({ ...fields, softTimeLimit: softMs / 1000 }, 'soft time limit exceeded');
        request.cancellation?.abort(new SoftTimeLimitExceeded());
      });
    }
    if (hardMs) {
      request.hardTimer = timers.at(startedMs + hardMs, () => {
        log.error({ ...fields, timeLimit: hardMs / 1000 }, 'hard time limit exceeded');
        const error = new TimeLimitExceeded(hardMs / 1000);
        request.cancellation?.abort(error);
        this.#finish(request, failure(this.#parts.app, request.task, error));
      });
    }
  }
}

/** Asked after each wait before the run: a termination or a limit may have settled the request meanwhile. */
function isOver(request: Request): boolean {
  return request.state !== 'running';
}
