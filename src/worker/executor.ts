import { constants } from 'node:os';
import { startedRecord } from '../app/follow-up.ts';
import type { TaskRequest } from '../app/request.ts';
import { failure, type Failure, type Outcome } from '../app/trace.ts';
import {
  DecodeError,
  InvalidTaskError,
  LeaseLostError,
  SoftTimeLimitExceeded,
  TaskRevokedError,
  type TimeLimitExceeded,
} from '../errors.ts';
import { Cancellation } from '../runtime/cancellation.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import { ChildLostError, type Job, type Pool } from '../pools/pool.ts';
import type { PoolSet } from '../pools/pool-set.ts';
import type { Suspicion } from '../transports/transport.ts';
import { Bodies } from './bodies.ts';
import { succeededBefore } from './deduplicate.ts';
import { discardMalformed } from './discard.ts';
import { RequestJob } from './job.ts';
import { Lane } from './lane.ts';
import { startLimits, type DefaultLimits } from './limits.ts';
import { killsWorkers, repeatLost } from './lost.ts';
import type { WorkerParts } from './parts.ts';
import { RateLimits } from './rate-limit.ts';
import { viewOf, type Request } from './request.ts';
import { acknowledge, settle, settleCancelled, settleRevoked, tellLeaseLost } from './settle.ts';
import { Suspects } from './suspects.ts';
import { tellStarted } from './telemetry.ts';

export type { DefaultLimits } from './limits.ts';

/** How long the kill of a child may take before its task is settled all the same. */
const KILL_MS = 5_000;

/** How long a task may clean up after SIGUSR1 before its child is killed. */
const SOFT_MS = 10_000;
const SIGUSR1 = constants.signals.SIGUSR1;

/**
 * Runs accepted requests: one after the other per slot, in the order of arrival, each within its limits.
 * A slot is free as soon as the run is over; settling goes on meanwhile, bounded by the prefetch window.
 */
export class Executor {
  readonly #parts: WorkerParts;
  readonly #pools: PoolSet;
  readonly #limits: DefaultLimits;
  readonly #bodies: Bodies;
  readonly #lanes = new Map<Pool, Lane>();
  readonly #running = new Set<Request>();
  readonly #suspects: Suspects<Request>;
  #settling = 0;
  #refilling = false;
  #refillAgain = false;
  #idle: Deferred<void> | undefined;
  readonly rateLimits: RateLimits;
  /** Told of every request that runs or waits from now on. */
  onSubmit: (() => void) | undefined;
  /** Told before a message is acknowledged whose task begins, which waits for it, and when a task's slot is free. */
  onSlots: (() => Promise<void> | undefined) | undefined;

  constructor(parts: WorkerParts, pools: PoolSet, limits: DefaultLimits) {
    this.#parts = parts;
    this.#pools = pools;
    this.#limits = limits;
    this.#bodies = new Bodies(parts);
    this.#suspects = new Suspects(parts.app.clock);
    this.rateLimits = new RateLimits(parts.timers, parts.app.clock, (request) => this.#enqueue(request));
  }

  get running(): ReadonlySet<Request> {
    return this.#running;
  }

  get waiting(): readonly Request[] {
    return [...this.#lanes.values()].flatMap((lane) => lane.waiting);
  }

  /** Requests that run or wait for a slot of the pool. */
  quantity(pool: Pool): number {
    const lane = this.#lanes.get(pool);
    return lane === undefined ? 0 : lane.running + lane.length;
  }

  /** How long the oldest request has waited for a slot of the pool; 0: none waits. */
  latencyMs(pool: Pool): number {
    const since = this.#lanes.get(pool)?.first?.waitingSinceMs;
    return since === undefined ? 0 : this.#parts.app.clock.monotonic() - since;
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
    const lane = this.#laneOf(request);
    if (lane.open) this.#start(request, lane);
    else {
      request.waitingSinceMs = this.#parts.app.clock.monotonic();
      lane.push(request);
    }
    this.onSubmit?.();
  }

  #laneOf(request: Request): Lane {
    const pool = this.#pools.of(request.task);
    let lane = this.#lanes.get(pool);
    if (lane === undefined) {
      lane = new Lane(pool);
      this.#lanes.set(pool, lane);
    }
    return lane;
  }

  /** Takes back what has not begun, so that its owner can return it to the broker. */
  takeWaiting(): Request[] {
    const waiting = [...this.waiting, ...this.rateLimits.clear()];
    for (const lane of this.#lanes.values()) lane.clear();
    return waiting.filter((request) => request.state === 'waiting');
  }

  /** Nothing runs, and everything that ran is settled. */
  get isIdle(): boolean {
    return this.#running.size === 0 && this.#settling === 0;
  }

  /** Resolves when nothing runs and everything that ran is settled. */
  idle(): Promise<void> {
    if (this.isIdle) return Promise.resolve();
    this.#idle ??= deferred();
    return this.#idle.promise;
  }

  /** Lets go what may run since a slot became free or a pool grew. */
  refill(): void {
    this.#refillAgain = true;
    // What runs without waiting for anything ends in here, and frees its slot for the next round.
    if (this.#refilling) return;
    this.#refilling = true;
    try {
      while (this.#refillAgain) {
        this.#refillAgain = false;
        for (const lane of this.#lanes.values()) {
          for (let request = lane.take(); request !== undefined; request = lane.take()) this.#start(request, lane);
        }
      }
    } finally {
      this.#refilling = false;
    }
    if (this.#idle && this.isIdle) {
      this.#idle.resolve();
      this.#idle = undefined;
    }
  }

  /** Ends a request that is revoked: at once when it has not begun, by its signal when it runs. */
  terminate(request: Request, signum: number | null): void {
    request.termination = { signum };
    if (request.state !== 'running') return;
    if (signum === SIGUSR1) return this.#terminateSoftly(request);
    request.cancellation?.abort(new TaskRevokedError('terminated'));
    this.#finish(request, undefined, this.#kill(request, signum ?? 'SIGTERM'));
  }

  /** Python's children take SIGUSR1 for their soft time limit: the task may clean up. Who does not end is ended. */
  #terminateSoftly(request: Request): void {
    const { clock } = this.#parts.app;
    const ended = deferred<void>();
    request.onRunEnded = () => ended.resolve();
    const timer = clock.setTimer(SOFT_MS, () => ended.resolve());
    request.cancellation?.abort(new SoftTimeLimitExceeded());
    const killed = ended.promise.then(() => {
      timer.cancel();
      return this.#kill(request, 'SIGKILL');
    });
    this.#finish(request, undefined, killed);
  }

  /** Another worker has the message: the run may tidy up, and leaves nothing behind. */
  leaseLost(request: Request): void {
    if (request.state !== 'running' || request.acknowledged) return;
    tellLeaseLost(this.#parts, request);
    request.cancellation?.abort(
      new LeaseLostError(`the lease of the message of task ${request.id} was lost: another worker may run it by now`),
    );
  }

  /** Cuts a run short so that its message can run again; its child, where it has one, is ended. */
  cancel(request: Request, reason: Error): void {
    if (request.state !== 'running') return;
    request.cancelled = reason;
    request.cancellation?.abort(reason);
    this.#finish(request, undefined, this.#kill(request, 'SIGTERM'));
  }

  /**
   * Cold stop: aborts what runs. Unless it still succeeds, or retries itself, it counts as cancelled; a late-ack message
   * is returned with the connection, so the task runs again.
   */
  abandon(reason: Error): void {
    for (const request of this.#running) {
      request.cancelled = reason;
      request.cancelTimers();
      request.cancellation?.abort(reason);
    }
  }

  /** Ends the code of what did not react to `abandon`, and tells. Resolves in any case. */
  async cancelRest(): Promise<void> {
    for (const request of [...this.#running]) this.#finish(request, undefined, this.#kill(request, 'SIGTERM'));
    await this.idle();
  }

  /** Hot path: kept flat, and without a promise where nothing has to be waited for. */
  #start(request: Request, lane: Lane): void {
    request.state = 'running';
    request.lane = lane;
    lane.running++;
    this.#running.add(request);
    const held = request.delivery.held();
    const repeated = this.#parts.successes !== undefined && request.delivery.redelivered;
    const suspect = request.delivery.redelivered && request.delivery.suspicion !== undefined;
    const unread = request.body === undefined && !lane.pool.takesMessages;
    if (held !== true || repeated || suspect || (unread && request.headers.compression !== undefined)) {
      void this.#prepare(request, lane.pool, held, repeated);
    } else if (this.#wanted(request)) this.#run(request, lane.pool);
  }

  /** Looks again whether a request is to run, and reads its body, where that takes time. */
  async #prepare(request: Request, pool: Pool, held: true | Promise<boolean>, repeated: boolean): Promise<void> {
    if (held !== true && !(await this.#stillHeld(request, held))) return this.#leave(request);
    if (request.state !== 'running' || !this.#wanted(request)) return;
    if (repeated && (await this.#isRepeat(request))) return;
    const { suspicion } = request.delivery;
    if (suspicion && (await this.#isExhausted(request, suspicion))) return;
    if (request.body === undefined && !pool.takesMessages) {
      try {
        await this.#bodies.read(request);
      } catch (error) {
        return this.#malformed(request, error);
      }
      if (request.state !== 'running') return;
    }
    this.#run(request, pool);
  }

  /** What was revoked or has expired while it waited does not run. */
  #wanted(request: Request): boolean {
    const { app, revoked } = this.#parts;
    if (revoked.covers(request.headers)) {
      void this.#revoke(request, request.termination ? 'terminated' : 'revoked');
      return false;
    }
    if (request.expiresMs !== undefined && app.clock.now() > request.expiresMs) {
      void this.#revoke(request, 'expired');
      return false;
    }
    return true;
  }

  #run(request: Request, pool: Pool): void {
    const { hostname } = this.#parts;
    if (request.body === undefined && !pool.takesMessages) {
      try {
        this.#bodies.readNow(request);
      } catch (error) {
        void this.#malformed(request, error);
        return;
      }
    }
    request.view = viewOf(request.delivery, request.headers, request.body, hostname);
    const cancellation = new Cancellation();
    request.cancellation = cancellation;
    const job = new RequestJob(this, request);
    request.job = job;
    request.delivery.holder = job;
    let running: Outcome | Promise<Outcome>;
    try {
      running = pool.run(job, cancellation);
    } catch (error) {
      return this.#broke(request, pool, job, error);
    }
    if ('then' in running) void this.#follow(request, pool, job, running);
    else this.#ran(request, pool, job, running);
  }

  async #follow(request: Request, pool: Pool, job: Job, running: Promise<Outcome>): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = await running;
    } catch (error) {
      return this.#broke(request, pool, job, error);
    }
    this.#ran(request, pool, job, outcome);
  }

  #ran(request: Request, pool: Pool, job: Job, outcome: Outcome): void {
    request.onRunEnded?.();
    const read =
      pool.takesMessages && request.body === undefined && this.#bodies.isNeeded(request, job, outcome)
        ? this.#bodies.readAgain(request)
        : undefined;
    this.#finish(request, outcome, read);
  }

  /** The pool gave no outcome. */
  #broke(request: Request, pool: Pool, job: Job, error: unknown): void {
    if (request.state !== 'running') return request.onRunEnded?.();
    if (error instanceof DecodeError || error instanceof InvalidTaskError) {
      request.onRunEnded?.();
      void this.#malformed(request, error);
    } else this.#ran(request, pool, job, failure(this.#parts.app, request.task, error));
  }

  /** Called by the pool when the run begins. @returns false when it was ended before */
  accept(request: Request, pid: number): boolean | Promise<boolean> {
    // A termination may have settled it while it waited for its child.
    if (request.state !== 'running') return false;
    const { app, counters } = this.#parts;
    request.startedMs = app.clock.now();
    request.pid = pid;
    startLimits(this.#parts, request, this.#limits, (error) => this.#overrun(request, error));
    const name = request.displayName;
    counters.total.set(name, (counters.total.get(name) ?? 0) + 1);
    if (request.late) return this.#begun(request);
    const narrowed = this.onSlots?.();
    const begin = (): boolean | Promise<boolean> => {
      if (request.state !== 'running') return false;
      acknowledge(this.#parts, request);
      return this.#begun(request);
    };
    return narrowed === undefined ? begin() : narrowed.then(begin);
  }

  /** Tells that it runs. */
  #begun(request: Request): boolean | Promise<boolean> {
    const { events } = this.#parts;
    const { task } = request;
    tellStarted(this.#parts, request);
    if (events.taskEvents && task.options.sendEvents) events.send('task-started', { uuid: request.id });
    if (!task.options.trackStarted || request.ignoresResult) return true;
    return this.#storeStarted(request).then(() => request.state === 'running');
  }

  /** The hard limit passed. */
  #overrun(request: Request, error: TimeLimitExceeded): void {
    request.cancellation?.abort(error);
    this.#finish(request, failure(this.#parts.app, request.task, error), this.#kill(request, 'SIGTERM'));
  }

  /**
   * Ends the code of a request, where the pool can, before its message is settled: a repeat must not run beside it.
   * Resolves in any case, with the body read for what follows.
   */
  async #kill(request: Request, signal: NodeJS.Signals | number): Promise<void> {
    const { app, log } = this.#parts;
    const pool = request.lane?.pool;
    if (pool?.terminate && request.job) {
      const late = deferred<void>();
      const timer = app.clock.setTimer(KILL_MS, () => late.resolve());
      try {
        await Promise.race([pool.terminate(request.job, signal), late.promise]);
      } catch (error) {
        log.error({ error, taskId: request.id }, 'a task could not be ended');
      }
      timer.cancel();
    }
    if (pool?.takesMessages && request.body === undefined) await this.#bodies.readAgain(request);
  }

  /** @param before what has to be over before the outcome is settled */
  #finish(request: Request, outcome: Outcome | undefined, before?: Promise<void>): void {
    // Else the hard limit or a termination was settled before; this is the code that went on regardless.
    if (request.state !== 'running') return;
    request.state = 'over';
    request.cancelTimers();
    this.#settling++;
    const settleNow = (): Promise<void> | undefined => {
      if (request.leaseLost && outcome !== undefined) return settle(this.#parts, request, outcome);
      if (outcome === undefined || cutOff(request, outcome)) return this.#settleEnded(request);
      return lost(outcome) ? this.#settleLost(request, outcome) : settle(this.#parts, request, outcome);
    };
    const settled = before === undefined ? settleNow() : before.then(settleNow);
    this.#free(request);
    if (settled === undefined) {
      this.#settling--;
      this.#suspects.ended(request);
    } else {
      void settled.then(() => {
        this.#settling--;
        this.#suspects.ended(request);
        if (this.#idle) this.refill();
      });
    }
    this.refill();
  }

  /** After a pause of the whole process, what was fetched ahead may be somebody else's by now. */
  async #stillHeld(request: Request, asked: Promise<boolean>): Promise<boolean> {
    const held = await asked.catch(() => true);
    if (!held) tellLeaseLost(this.#parts, request);
    return held;
  }

  #settleEnded(request: Request): Promise<void> {
    const { cancelled } = request;
    return cancelled === undefined
      ? settleRevoked(this.#parts, request, 'terminated')
      : settleCancelled(this.#parts, request, cancelled);
  }

  /** It succeeded before and is acknowledged, or what follows could not be sent and it goes back. */
  async #isRepeat(request: Request): Promise<boolean> {
    try {
      if (!(await succeededBefore(this.#parts, request))) return request.state !== 'running';
      acknowledge(this.#parts, request);
    } catch (error) {
      const fields = { error, taskId: request.id, task: request.displayName };
      this.#parts.log.error(fields, 'whether a task succeeded before is not known, or what follows it was not sent');
      if (!request.acknowledged) {
        request.acknowledged = true;
        await request.delivery.reject({ requeue: true }).catch(() => undefined);
      }
    }
    this.#leave(request);
    return true;
  }

  /** It died with its worker as often as it may. */
  async #isExhausted(request: Request, suspicion: Suspicion): Promise<boolean> {
    if (await killsWorkers(this.#parts, request, suspicion, this.#suspects)) {
      this.#leave(request);
      return true;
    }
    return request.state !== 'running';
  }

  /** Its child died: it runs again where it may, else it failed. */
  async #settleLost(request: Request, outcome: Failure): Promise<void> {
    if (!(await repeatLost(this.#parts, request, outcome.error))) await settle(this.#parts, request, outcome);
  }

  async #revoke(request: Request, reason: 'revoked' | 'expired' | 'terminated'): Promise<void> {
    if (reason === 'expired') this.#parts.revoked.add(request.id);
    await settleRevoked(this.#parts, request, reason);
    this.#leave(request);
  }

  async #malformed(request: Request, error: unknown): Promise<void> {
    await discardMalformed(this.#parts, request.delivery, error, request.headers);
    this.#leave(request);
  }

  #leave(request: Request): void {
    request.state = 'over';
    request.cancelTimers();
    this.#suspects.ended(request);
    this.#free(request);
    this.refill();
  }

  #free(request: Request): void {
    if (this.#running.delete(request) && request.lane) request.lane.running--;
    void this.onSlots?.();
  }

  async #storeStarted(request: Request): Promise<void> {
    const { app, backend, hostname, log } = this.#parts;
    try {
      const pid = request.pid ?? process.pid;
      await backend.store(startedRecord(app, request.view as TaskRequest, { pid, hostname }));
    } catch (error) {
      log.warn({ error, taskId: request.id, task: request.displayName, app: app.main }, 'STARTED could not be stored');
    }
  }
}

/** Whether a run ended only because its worker cut it short: its message is settled as if it had not ended. */
function cutOff(request: Request, outcome: Outcome): boolean {
  if (request.cancelled === undefined || outcome.kind === 'success') return false;
  return outcome.kind !== 'retry' || !request.acknowledged;
}

function lost(outcome: Outcome): outcome is Failure {
  return outcome.kind === 'failure' && outcome.error instanceof ChildLostError;
}
