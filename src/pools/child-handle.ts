import type { Outcome } from '../app/trace.ts';
import type { Cancellation } from '../runtime/cancellation.ts';
import type { Timer } from '../runtime/clock.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import { encodeJob } from './job-codec.ts';
import type { Member, MemberEvents, StartMember } from './member.ts';
import { encodeReason } from './outcome-codec.ts';
import type { Job } from './pool.ts';
import type { ToChild } from './wire.ts';

/** A job in the hands of a pool. */
export interface Run {
  readonly number: number;
  readonly job: Job;
  readonly cancellation: Cancellation;
  readonly settled: Deferred<Outcome>;
  child: Child | undefined;
  accepted: boolean;
  /** States of the task's own that are being written. */
  stores: Promise<void>[] | undefined;
}

/** One child, with what its pool knows about it. */
export class Child {
  state: 'starting' | 'up' | 'leaving' | 'gone' = 'starting';
  readonly runs = new Set<Run>();
  /** Runs it was ever given. */
  begun = 0;
  readonly started: Deferred<void> = deferred();
  readonly gone: Deferred<void> = deferred();
  /** The run for whose sake it is being killed. */
  endedFor: Run | undefined;
  /** Why it cannot work, in its own words. */
  problem: string | undefined;
  startTimer: Timer | undefined;
  leaveTimer: Timer | undefined;
  readonly #member: Member;
  #outbox: ToChild[] = [];

  constructor(start: StartMember, events: MemberEvents) {
    this.#member = start(events);
    this.started.promise.catch(() => {});
  }

  get pid(): number {
    return this.#member.pid;
  }

  /** Resolves when it has loaded the app. */
  get up(): Promise<void> {
    return this.started.promise;
  }

  /** Messages of one tick leave together. */
  post(message: ToChild): void {
    if (this.#outbox.push(message) === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const batch = this.#outbox;
    if (batch.length === 0) return;
    this.#outbox = [];
    if (this.state !== 'gone') this.#member.send(batch);
  }

  /** @param full it has as many runs as it may: nothing is worth waiting for */
  sendRun(run: Run, full: boolean): void {
    this.begun++;
    this.post(['run', run.number, encodeJob(run.job)]);
    if (full) this.#flush();
  }

  abort(run: Run, reason: unknown): void {
    this.post(['abort', run.number, encodeReason(reason)]);
  }

  /** Where its code is; undefined where nobody can tell. */
  stack(): Promise<readonly string[] | undefined> | undefined {
    return this.state === 'up' ? this.#member.stack?.() : undefined;
  }

  end(signal: NodeJS.Signals | number): void {
    if (this.state !== 'gone') this.#member.end(signal);
  }
}
