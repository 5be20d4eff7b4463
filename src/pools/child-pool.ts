import type { Celery } from '../app/celery.ts';
import type { AppSource } from '../app/load-source.ts';
import type { Outcome } from '../app/trace.ts';
import type { ResultRecord } from '../backends/backend.ts';
import { ImproperlyConfigured } from '../errors.ts';
import { backoffMs } from '../runtime/backoff.ts';
import type { Cancellation } from '../runtime/cancellation.ts';
import type { Timer } from '../runtime/clock.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import type { Logger } from '../runtime/logger.ts';
import { loads } from '../serializers/json.ts';
import { Child, type Run } from './child-handle.ts';
import { lowestLevel, printLine } from './child-log.ts';
import type { MemberEvents, MemberExit, StartMember } from './member.ts';
import { decodeOutcome } from './outcome-codec.ts';
import { ChildLostError, NOT_RUN, type Job, type Pool } from './pool.ts';
import type { ToParent } from './wire.ts';

/*
 * Supervises children, processes or threads.
 *
 * A child is `starting` until it has loaded the app, then `up`. One that is to be replaced (it ran as many tasks as it
 * may, uses too much memory, the pool shrinks or restarts) is `leaving`: it gets nothing new, is told to leave when
 * its last run is over, and its successor starts at once. Whatever ends uninvited is replaced; the more often in a row,
 * the later. Children that die before they ran anything, time after time, mean that nothing will ever run: the pool
 * gives up and its worker ends, so that somebody notices.
 */

export interface ChildPoolOptions {
  readonly name: string;
  readonly children: number;
  /** Tasks at a time in each child. */
  readonly slots: number;
  readonly source: AppSource;
  readonly hostname: string;
  readonly maxTasksPerChild: number | null;
  readonly maxMemoryKb: number | null;
  readonly start: (events: MemberEvents) => ReturnType<StartMember>;
}

/** Time to load the app, at least; `workerProcAliveTimeout` can make it longer. */
const START_MS = 60_000;
/** Children that were told to leave are killed after this long. */
const LEAVE_MS = 3_000;
const RESPAWN = { baseMs: 200, capMs: 30_000 };
/** Deaths in a row of children that never ran anything. */
const MOST_STILLBORN = 10;

export class ChildPool implements Pool {
  readonly name: string;
  readonly canTerminate = true;
  readonly takesMessages = true;
  readonly slotsPerChild: number;
  readonly #app: Celery;
  readonly #log: Logger;
  readonly #options: ChildPoolOptions;
  readonly #children = new Set<Child>();
  readonly #runs = new Map<number, Run>();
  readonly #byJob = new Map<Job, Run>();
  readonly #waiting: Run[] = [];
  readonly #failed: Deferred<Error> = deferred();
  readonly #timers = new Set<Timer>();
  #target: number;
  #runNumber = 0;
  /** Deaths since the last task that ended. */
  #deaths = 0;
  #stillborn = 0;
  #respawning = 0;
  #closing: Promise<void> | undefined;

  constructor(app: Celery, options: ChildPoolOptions) {
    this.#app = app;
    this.#options = options;
    this.name = options.name;
    this.slotsPerChild = options.slots;
    this.#target = options.children;
    this.#log = app.log;
  }

  get size(): number {
    return this.#target * this.slotsPerChild;
  }

  get failed(): Promise<Error> {
    return this.#failed.promise;
  }

  get processes(): readonly number[] {
    return [...this.#children].filter(({ state }) => state !== 'gone').map(({ pid }) => pid);
  }

  async stacks(): Promise<ReadonlyMap<number, readonly string[] | string | undefined>> {
    const asked = [...this.#children].map(async (child) => {
      const stack = child.stack();
      if (stack === undefined) return undefined;
      return [child.pid, await stack.catch((error: unknown) => (error as Error).message)] as const;
    });
    return new Map((await Promise.all(asked)).filter((one) => one !== undefined));
  }

  async start(): Promise<void> {
    if (!(await this.#app.transport()).capabilities.shared) {
      this.#log.warn(
        { pool: this.name },
        'children cannot reach a broker that lives in this process: what their tasks send is lost',
      );
    }
    const started = Array.from({ length: this.#target - this.#children.size }, () => this.#spawn().up);
    await Promise.all(started);
  }

  run(job: Job, cancellation: Cancellation): Promise<Outcome> {
    const run: Run = {
      number: ++this.#runNumber,
      job,
      cancellation,
      settled: deferred(),
      child: undefined,
      accepted: false,
      stores: undefined,
    };
    this.#runs.set(run.number, run);
    this.#byJob.set(job, run);
    if (this.#closing) this.#lose(run, 'the pool is closed', false);
    else {
      const child = this.#waiting.length === 0 ? this.#free() : undefined;
      if (child) this.#begin(child, run);
      else this.#waiting.push(run);
    }
    return run.settled.promise;
  }

  /** The idlest child that takes something; always fair: nothing waits behind a busy one while another is free. */
  #free(): Child | undefined {
    let best: Child | undefined;
    for (const child of this.#children) {
      if (child.state !== 'up' || child.runs.size >= this.slotsPerChild) continue;
      if (child.runs.size === 0) return child;
      if (!best || child.runs.size < best.runs.size) best = child;
    }
    return best;
  }

  #begin(child: Child, run: Run): void {
    run.child = child;
    child.runs.add(run);
    const accepted = run.accepted || run.job.accept(child.pid);
    if (accepted === true) this.#dispatch(child, run);
    else if (accepted === false) this.#skip(run);
    else {
      accepted.then(
        (yes) => (yes ? this.#dispatch(child, run) : this.#skip(run)),
        (error: unknown) => {
          this.#release(run);
          run.settled.reject(error);
        },
      );
    }
  }

  #dispatch(child: Child, run: Run): void {
    run.accepted = true;
    if (child.state === 'gone') {
      // It died while the run was being accepted: nothing was sent to it, another child takes over.
      child.runs.delete(run);
      run.child = undefined;
      this.#waiting.unshift(run);
      return this.#pump();
    }
    child.sendRun(run, child.runs.size >= this.slotsPerChild);
    run.cancellation.whenAborted((reason) => {
      if (this.#runs.has(run.number)) child.abort(run, reason);
    });
    const { maxTasksPerChild } = this.#options;
    if (maxTasksPerChild !== null && child.begun >= maxTasksPerChild) {
      this.#retire(child, 'it ran as many tasks as it may');
    }
  }

  #skip(run: Run): void {
    this.#release(run);
    run.settled.resolve(NOT_RUN);
    this.#pump();
  }

  /** Forgets a run; its slot is free. */
  #release(run: Run): void {
    this.#runs.delete(run.number);
    this.#byJob.delete(run.job);
    const { child } = run;
    if (!child) return;
    child.runs.delete(run);
    if (child.state === 'leaving' && child.runs.size === 0) this.#dismiss(child);
  }

  #pump(): void {
    while (this.#waiting.length > 0) {
      const child = this.#free();
      if (!child) return;
      this.#begin(child, this.#waiting.shift() as Run);
    }
  }

  #spawn(): Child {
    const { signals } = this.#app;
    const sender = this.#options.hostname;
    if (signals.has('workerBeforeCreateProcess')) void signals.emit('workerBeforeCreateProcess', { sender });
    const child: Child = new Child(this.#options.start, {
      messages: (batch) => this.#receive(child, batch),
      problem: (text) => (child.problem ??= text),
      exit: (how) => this.#exited(child, how),
    });
    this.#children.add(child);
    const { source, hostname, maxMemoryKb } = this.#options;
    child.post(['setup', { source, hostname, maxMemoryKb, logLevel: lowestLevel(this.#log) }]);
    const deadlineMs = Math.max(START_MS, this.#app.conf.workerProcAliveTimeout * 1000);
    child.startTimer = this.#after(deadlineMs, () => {
      child.problem = `it has not loaded the app within ${deadlineMs / 1000} s`;
      child.end('SIGKILL');
    });
    return child;
  }

  #receive(child: Child, batch: readonly ToParent[]): void {
    for (const message of batch) {
      switch (message[0]) {
        case 'done':
          this.#done(child, message);
          break;
        case 'store':
          this.#store(child, message[1], message[2], message[3]);
          break;
        case 'log':
          printLine(this.#log, message[1], message[2], message[3]);
          break;
        case 'up':
          this.#up(child);
          break;
        case 'broken':
          child.problem = message[1];
      }
    }
    this.#pump();
  }

  #up(child: Child): void {
    this.#cancel(child.startTimer);
    if (child.state !== 'starting') return;
    child.state = 'up';
    child.started.resolve();
    this.#log.debug({ pool: this.name, pid: child.pid }, 'a child is ready');
  }

  #done(child: Child, [, number, wire, notes]: ToParent & readonly ['done', ...unknown[]]): void {
    const run = this.#runs.get(number);
    this.#deaths = 0;
    this.#stillborn = 0;
    if (notes?.full && child.state === 'up') this.#retire(child, 'it uses more memory than it may');
    if (!run) return;
    this.#release(run);
    run.job.followed = notes?.followed ?? false;
    const settle = (): void => {
      try {
        run.settled.resolve(decodeOutcome(this.#app, wire));
      } catch (error) {
        run.settled.reject(error);
      }
    };
    if (run.stores === undefined) settle();
    else void Promise.allSettled(run.stores).then(settle);
  }

  /** A state of the task's own; the outcome is not known before it is written. */
  #store(child: Child, number: number, ticket: number, text: string): void {
    const run = this.#runs.get(number);
    if (!run) return child.post(['stored', ticket, 'the run is over']);
    const stored = this.#app
      .backend()
      .then((backend) => backend.store(loads(text) as ResultRecord))
      .then(
        () => child.post(['stored', ticket, null]),
        (error: unknown) => child.post(['stored', ticket, error instanceof Error ? error.message : String(error)]),
      );
    (run.stores ??= []).push(stored);
  }

  #exited(child: Child, how: MemberExit): void {
    const { state } = child;
    child.state = 'gone';
    this.#cancel(child.startTimer);
    this.#cancel(child.leaveTimer);
    this.#children.delete(child);
    const text = exitText(how);
    child.gone.resolve();
    if (state === 'starting') {
      child.started.reject(new ImproperlyConfigured(`a child of the pool could not start: ${child.problem ?? text}`));
    }
    for (const run of child.runs) {
      if (!run.accepted) continue;
      const blamed = child.endedFor === undefined || child.endedFor === run;
      this.#lose(run, `Worker exited prematurely: ${text} Job: ${run.number}.`, !blamed);
    }
    if (this.#closing) return;
    if (child.endedFor === undefined && state !== 'leaving') this.#mourn(child, state, text);
    this.#refill();
  }

  /** Counts an uninvited death. */
  #mourn(child: Child, state: Child['state'], text: string): void {
    this.#deaths++;
    if (child.begun === 0) this.#stillborn++;
    const fields = { pool: this.name, pid: child.pid, exit: text, problem: child.problem };
    this.#log.error(fields, state === 'starting' ? 'a child could not start' : 'a child died');
    if (this.#stillborn < MOST_STILLBORN) return;
    this.#failed.resolve(
      new ImproperlyConfigured(
        `${this.#stillborn} children of the pool died before they ran anything, the last one: ${child.problem ?? text}`,
      ),
    );
  }

  /** Starts what is missing, later the more often children died lately. */
  #refill(): void {
    const serving = [...this.#children].filter(({ state }) => state === 'starting' || state === 'up').length;
    const missing = this.#target - serving - this.#respawning;
    for (let i = 0; i < missing; i++) {
      if (this.#deaths <= 1) {
        this.#spawn().up.catch(() => {});
        continue;
      }
      this.#respawning++;
      this.#after(backoffMs(this.#deaths - 1, RESPAWN, this.#app.random), () => {
        this.#respawning--;
        if (!this.#closing) this.#refillNow();
      });
    }
  }

  #refillNow(): void {
    const serving = [...this.#children].filter(({ state }) => state === 'starting' || state === 'up').length;
    if (serving + this.#respawning < this.#target) this.#spawn().up.catch(() => {});
  }

  #lose(run: Run, message: string, bystander: boolean): void {
    this.#release(run);
    run.settled.reject(new ChildLostError(message, bystander));
  }

  /** Lets a child go once its runs are over; its successor starts now. */
  #retire(child: Child, reason: string): void {
    if (child.state !== 'up' && child.state !== 'starting') return;
    child.state = 'leaving';
    this.#log.debug({ pool: this.name, pid: child.pid, reason }, 'a child is replaced');
    child.started.resolve();
    if (child.runs.size === 0) this.#dismiss(child);
    if (!this.#closing) this.#refill();
  }

  #dismiss(child: Child): void {
    if (child.leaveTimer) return;
    child.post(['leave']);
    child.leaveTimer = this.#after(LEAVE_MS, () => child.end('SIGKILL'));
  }

  async terminate(job: Job, signal: NodeJS.Signals | number): Promise<void> {
    const run = this.#byJob.get(job);
    if (!run) return;
    const { child } = run;
    if (!child) {
      const at = this.#waiting.indexOf(run);
      if (at >= 0) this.#waiting.splice(at, 1);
      return this.#skip(run);
    }
    child.endedFor ??= run;
    child.end(signal);
    await child.gone.promise;
  }

  async resize(size: number): Promise<void> {
    this.#target = Math.max(1, Math.ceil(size / this.slotsPerChild));
    const serving = [...this.#children].filter(({ state }) => state === 'up' || state === 'starting');
    serving.sort((a, b) => a.runs.size - b.runs.size);
    for (const child of serving.slice(0, Math.max(0, serving.length - this.#target))) {
      this.#retire(child, 'the pool shrinks');
    }
    this.#refill();
  }

  /** One after the other, each successor up before its predecessor goes: what waits keeps being served. */
  async restart(): Promise<void> {
    const old = [...this.#children].filter(({ state }) => state === 'up' || state === 'starting');
    for (const child of old) {
      const successor = this.#spawn();
      await successor.up;
      this.#retire(child, 'the pool restarts');
    }
  }

  info(): Readonly<Record<string, unknown>> {
    return {
      implementation: `celeriac.pools:${this.name}`,
      'max-concurrency': this.#target,
      processes: this.processes,
      'max-tasks-per-child': this.#options.maxTasksPerChild ?? 'N/A',
      'put-guarded-by-semaphore': true,
      timeouts: [this.#app.conf.taskSoftTimeLimit ?? 0, this.#app.conf.taskTimeLimit ?? 0],
      'slots-per-child': this.slotsPerChild,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.resolve(); // `#closing` is set before anything below asks for it
    for (const timer of this.#timers) timer.cancel();
    for (const run of this.#waiting.splice(0)) this.#lose(run, 'Worker exited prematurely: the pool was closed', true);
    const children = [...this.#children];
    for (const child of children) {
      child.leaveTimer = undefined;
      if (child.state === 'starting') child.end('SIGKILL');
      else this.#dismiss(child);
    }
    await Promise.all(children.map(({ gone }) => gone.promise));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #after(delayMs: number, run: () => void): Timer {
    const timer = this.#app.clock.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      run();
    });
    this.#timers.add(timer);
    return timer;
  }

  #cancel(timer: Timer | undefined): void {
    if (!timer) return;
    timer.cancel();
    this.#timers.delete(timer);
  }
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGKILL: 9, SIGTERM: 15, SIGSEGV: 11, SIGABRT: 6 };

/** As billiard says it: `exitcode 3`, `signal 9 (SIGKILL)`. */
function exitText({ code, signal }: MemberExit): string {
  if (signal === null) return `exitcode ${code ?? 0}`;
  return `signal ${SIGNAL_NUMBERS[signal] ?? ''} (${signal})`;
}
