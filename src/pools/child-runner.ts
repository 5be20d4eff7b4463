import type { Celery } from '../app/celery.ts';
import { redirectConsole } from '../app/redirect-console.ts';
import { loadSource } from '../app/load-source.ts';
import type { TaskRequest } from '../app/request.ts';
import { failure, trace, type RunControl } from '../app/trace.ts';
import type { ResultRecord } from '../backends/backend.ts';
import { NotRegistered, OperationalError } from '../errors.ts';
import { Cancellation } from '../runtime/cancellation.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import type { LogRelay } from '../runtime/log-relay.ts';
import { dumps } from '../serializers/json.ts';
import { ChildLog } from './child-log.ts';
import { decodeJob } from './job-codec.ts';
import { decodeReason, encodeOutcome, encodeUnreadable, isFollowed } from './outcome-codec.ts';
import type { ChildSetup, ToChild, ToParent, WireJob, WireOutcome } from './wire.ts';

/** A child's way to its pool. */
export interface ParentLink {
  /** Leaves with what else is sent in this tick. */
  send(message: ToParent): void;
  /** Sends what is left now: nothing else will come in this tick. */
  flush(): void;
  /** In kilobytes: of the process, or of the thread's heap. */
  memoryKb(): number;
  /** Sends what is left, then ends this child. */
  leave(): void;
}

/** What a run inside a child is controlled by. */
class ChildRun extends Cancellation implements RunControl {
  readonly storeState: (record: ResultRecord) => Promise<void>;

  constructor(storeState: (record: ResultRecord) => Promise<void>) {
    super();
    this.storeState = storeState;
  }
}

/** The whole life of a child: loads the app, runs what it is sent, reports. It knows neither broker nor backend. */
export class ChildRunner {
  readonly #link: ParentLink;
  readonly #runs = new Map<number, ChildRun>();
  readonly #stores = new Map<number, Deferred<void>>();
  #setup: ChildSetup | undefined;
  #app: Celery | undefined;
  #accept: ReadonlySet<string> = new Set();
  #tickets = 0;
  #leaving = false;

  constructor(link: ParentLink) {
    this.#link = link;
  }

  readonly receive = (batch: readonly ToChild[]): void => {
    for (const message of batch) this.#handle(message);
  };

  #handle(message: ToChild): void {
    switch (message[0]) {
      case 'run':
        void this.#run(message[1], message[2]);
        return;
      case 'abort':
        this.#runs.get(message[1])?.abort(decodeReason(message[2]));
        return;
      case 'stored':
        this.#stored(message[1], message[2]);
        return;
      case 'setup':
        void this.#load(message[1]);
        return;
      case 'leave':
        void this.#leave();
    }
  }

  async #load(setup: ChildSetup): Promise<void> {
    this.#setup = setup;
    try {
      const app = await loadSource(setup.source);
      this.#app = app;
      this.#accept = app.serializers.acceptSet(app.conf.acceptContent);
      const own = app.log as Partial<LogRelay>;
      // By what it can do, not by its class: the app may be made by another copy of the library.
      const fields = { pid: process.pid };
      if (typeof own.attach === 'function') own.attach(new ChildLog(this.#link.send, setup.logLevel, fields));
      // Nobody would see it where the worker's own log is silent.
      if (setup.logLevel !== 'silent') redirectConsole(app);
      if (app.signals.has('workerProcessInit')) {
        await app.signals.emit('workerProcessInit', { sender: setup.hostname, pid: process.pid });
      }
      this.#link.send(['up']);
    } catch (error) {
      this.#link.send(['broken', error instanceof Error ? error.message : String(error)]);
      this.#link.leave();
    }
  }

  /** Hot path. Never rejects. */
  async #run(number: number, job: WireJob): Promise<void> {
    const app = this.#app as Celery;
    const { hostname, maxMemoryKb } = this.#setup as ChildSetup;
    const run = new ChildRun((record) => this.#store(number, record));
    this.#runs.set(number, run);
    let outcome: WireOutcome;
    let followed = false;
    try {
      const request = await decodeJob(app, job, this.#accept, hostname);
      followed = isFollowed(request);
      outcome = await this.#trace(app, request, run);
    } catch (error) {
      outcome = encodeUnreadable(error);
    }
    this.#runs.delete(number);
    const full = maxMemoryKb !== null && this.#link.memoryKb() > maxMemoryKb;
    const notes = followed || full ? { ...(followed && { followed }), ...(full && { full }) } : null;
    this.#link.send(['done', number, outcome, notes as { followed?: true; full?: true } | null]);
    if (this.#runs.size === 0) this.#link.flush();
  }

  async #trace(app: Celery, request: TaskRequest, run: ChildRun): Promise<WireOutcome> {
    const task = app.tasks.get(request.task);
    // The parent has it: the app that this child loaded is another one.
    if (task === undefined) {
      const { record, traceback } = failure(app, undefined, new NotRegistered(request.task));
      return { kind: 'failure', record: dumps(record), traceback, expected: false };
    }
    return encodeOutcome(app, task, request, await trace(app, task, request, run));
  }

  /** The parent writes it, so that it is written before the outcome. */
  #store(run: number, record: ResultRecord): Promise<void> {
    const ticket = ++this.#tickets;
    const text = dumps(record);
    const stored = deferred<void>();
    this.#stores.set(ticket, stored);
    this.#link.send(['store', run, ticket, text]);
    return stored.promise;
  }

  #stored(ticket: number, problem: string | null): void {
    const stored = this.#stores.get(ticket);
    this.#stores.delete(ticket);
    if (problem === null) stored?.resolve();
    else stored?.reject(new OperationalError(problem, { recoverable: true }));
  }

  /** What still runs has been given up by the parent. */
  async #leave(): Promise<void> {
    if (this.#leaving) return;
    this.#leaving = true;
    const app = this.#app;
    try {
      if (app?.signals.has('workerProcessShutdown')) {
        const sender = this.#setup?.hostname ?? '';
        await app.signals.emit('workerProcessShutdown', { sender, pid: process.pid, exitCode: 0 });
      }
      await app?.close();
    } catch (error) {
      app?.log.debug({ error }, 'the app of a child did not close cleanly');
    }
    this.#link.leave();
  }
}
