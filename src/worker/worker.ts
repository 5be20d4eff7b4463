import type { Celery } from '../app/celery.ts';
import { workerDirect } from '../app/queues.ts';
import { UsageError } from '../errors.ts';
import { EventDispatcher } from '../events/dispatcher.ts';
import type { Queue } from '../messaging/entity.ts';
import type { Pool } from '../pools/pool.ts';
import type { PoolSet } from '../pools/pool-set.ts';
import type { Timer } from '../runtime/clock.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import { TimerQueue } from '../runtime/timers.ts';
import type { Transport } from '../transports/transport.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { Autoscaler } from './autoscale.ts';
import { Cluster } from './cluster.ts';
import { Consumer } from './consumer.ts';
import { ControlServer } from './control.ts';
import type { Commanded } from './control-commands.ts';
import { dump } from './dump.ts';
import { Executor } from './executor.ts';
import { Intake } from './intake.ts';
import { Losses } from './lost.ts';
import { OwnSteps } from './own-steps.ts';
import { nodeFile, nodeName } from './node-name.ts';
import {
  createPools,
  defaultLimits,
  patienceMs,
  revokeLimits,
  successLimits,
  type StopMode,
  type StopOptions,
  type WorkerExit,
  type WorkerOptions,
} from './options.ts';
import type { Counters, WorkerParts } from './parts.ts';
import { Peers } from './peers.ts';
import { reportText } from './report.ts';
import { RevokedIds } from './revoked.ts';
import { cutShort, drain, Urgency } from './shutdown.ts';
import { StateFile } from './state-file.ts';
import type { WorkerVitals } from './vitals.ts';
import { PrefetchWindow } from './window.ts';

const STAY_ALIVE_MS = 3_600_000;
const START_FAILED = 'start failed';

/** What exists once a worker has started. */
interface Running {
  readonly parts: WorkerParts;
  readonly transport: Transport;
  readonly executor: Executor;
  readonly intake: Intake;
  readonly window: PrefetchWindow;
  readonly autoscaler: Autoscaler | undefined;
  readonly peers: Peers;
  readonly state: StateFile | undefined;
  readonly steps: OwnSteps;
  readonly startedMs: number;
}

/**
 * Consumes queues and runs their tasks.
 *
 * @example
 * await using worker = new Worker(app, { concurrency: 8 });
 * await worker.run({ signal: stop.signal });
 */
export class Worker implements AsyncDisposable {
  readonly app: Celery;
  /** Node name. */
  readonly hostname: string;
  /** The other workers, where gossip tells of them: Redis, RabbitMQ, or `withoutGossip: false`. */
  readonly cluster: Cluster;
  readonly #options: WorkerOptions;
  readonly #pools: PoolSet;
  readonly #exit: Deferred<WorkerExit> = deferred();
  #running: Running | undefined;
  #consumer: Consumer | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #urgency: Urgency | undefined;
  #aliveTimer: Timer | undefined;

  constructor(app: Celery, options: WorkerOptions = {}) {
    this.app = app;
    this.#options = options;
    this.hostname = nodeName(options.hostname);
    this.#pools = createPools(app, this.hostname, options);
    this.cluster = new Cluster(app.log);
    this.#exit.promise.catch(() => {});
  }

  /** The pool's name and slots, for banners. */
  get pool(): { readonly name: string; readonly size: number } {
    return this.#pool;
  }

  get #pool(): Pool {
    return this.#pools.main;
  }

  /** Processes that run tasks. */
  get processes(): readonly number[] {
    return this.#pools.all.flatMap(({ processes }) => processes);
  }

  /** Queues this worker consumes. */
  get queues(): readonly Queue[] {
    return this.app.queues.consumed;
  }

  /** Whether it is proven to consume right now. */
  get isConsuming(): boolean {
    return this.#consumer?.state === 'consuming';
  }

  /** What measures read; undefined before `start()`. */
  get vitals(): WorkerVitals | undefined {
    if (!this.#running) return undefined;
    const { parts, executor, intake } = this.#running;
    const { counters, events } = parts;
    return {
      state: this.#consumer?.state ?? 'closed',
      active: executor.running.size,
      slots: this.#pool.size,
      held: intake.held.size,
      waiting: executor.waiting.length,
      malformed: counters.malformed,
      unknown: counters.unknown,
      leasesLost: counters.leasesLost,
      connects: counters.connects,
      eventsWaiting: events.waiting,
      eventsDropped: events.dropped,
    };
  }

  /** What it does right now, as text for a person: tasks, where the code of child processes is, the event loop. */
  async dump(): Promise<string> {
    return this.#running ? dump({ ...this.#running, pools: this.#pools }) : `== ${this.hostname}: not started ==`;
  }

  /** Requests that run now. */
  get active(): number {
    return this.#running?.executor.running.size ?? 0;
  }

  /** Consumes when it resolves. @throws when the broker cannot be reached and no more tries are allowed */
  start(): Promise<void> {
    this.#starting ??= this.#start().catch((error: unknown) => this.#startFailed(error));
    return this.#starting;
  }

  /**
   * Starts, and resolves when the worker has stopped; an abort of `signal` is a warm stop.
   * @returns why it stopped; `error` is set when the broker was given up
   */
  async run(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<WorkerExit> {
    const { signal } = options;
    const onAbort = (): void => void this.stop('warm', 'signal');
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await this.start();
      return await this.#exit.promise;
    } catch (error) {
      if (this.#stopping) {
        await this.#stopping;
        const exit = await this.#exit.promise;
        if (exit.reason !== START_FAILED) return exit;
      }
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /**
   * Stops. A second call with a more urgent mode cuts the first short. Resolves when nothing runs and the broker is let go.
   * @param reason for the log and `WorkerExit`
   */
  stop(mode: StopMode = 'warm', reason = 'stop', options: StopOptions = {}): Promise<void> {
    return this.#halt(mode, reason, undefined, options);
  }

  /** A cold stop: what runs is cut short and goes back, where it is not acknowledged. */
  terminate(reason = 'terminate'): Promise<void> {
    return this.stop('cold', reason);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop('warm', 'disposed');
  }

  async #start(): Promise<void> {
    if (this.#stopping) throw new UsageError('this worker was stopped: create another');
    const { app, hostname } = this;
    await this.#select();
    const transport = await app.transport();
    const running = await this.#prepare(transport);
    this.#running = running;
    const { parts, executor, autoscaler, peers, state, steps } = running;
    this.#stayAlive();
    await state?.open();
    if (app.signals.has('workerInit')) await app.signals.emit('workerInit', { sender: hostname, worker: this });
    if (this.#options.purge) await this.#purge(transport);
    await steps.first();
    await this.#startPools(parts);
    await steps.second();
    const consumer = this.#createConsumer(running);
    this.#consumer = consumer;
    consumer.run().then(
      () => {},
      (error: unknown) => this.#giveUp(error instanceof Error ? error : new Error(String(error))),
    );
    await consumer.ready;
    peers.start();
    if (autoscaler) {
      executor.onSubmit = () => autoscaler.check();
      autoscaler.start();
    }
    await steps.third();
    if (app.signals.has('workerReady')) await app.signals.emit('workerReady', { sender: hostname, worker: this });
    this.#warnOfLimits(parts);
    parts.log.info({ queues: this.queues.map(({ name }) => name) }, 'ready');
  }

  /** A pool that shares its thread with the worker cannot end code by force: who counts on that learns it now. */
  #warnOfLimits({ app, log }: WorkerParts): void {
    const limited = defaultLimits(app, this.#options).timeLimitMs !== null;
    const names = app.tasks.names().filter((name) => {
      const task = app.tasks.get(name);
      return task !== undefined && !this.#pools.of(task).canTerminate && (limited || task.options.timeLimitMs !== null);
    });
    const tasks = names.filter((name) => !name.startsWith('celery.'));
    if (tasks.length === 0) return;
    log.warn(
      { pool: this.#pool.name, tasks },
      'a hard time limit cannot end code in this pool: it gives up on the task and frees its slot, and code that never waits ' +
        'blocks the worker; the pools process and thread can end it',
    );
  }

  /** Settles which queues are consumed. */
  async #select(): Promise<void> {
    const { app, hostname } = this;
    const { queues, excludeQueues } = this.#options;
    const told = { sender: hostname, worker: this, conf: app.conf };
    if (app.signals.has('celerydInit')) await app.signals.emit('celerydInit', told);
    if (queues?.length) app.queues.select(queues);
    if (excludeQueues?.length) app.queues.deselect(excludeQueues);
    if (app.conf.workerDirect) app.queues.selectAdd(workerDirect(hostname));
    if (app.signals.has('celerydAfterSetup')) await app.signals.emit('celerydAfterSetup', told);
  }

  /** Creates the duties; none of them has begun. */
  async #prepare(transport: Transport): Promise<Running> {
    const { app, hostname } = this;
    const options = this.#options;
    const events = new EventDispatcher(app, hostname);
    if (options.taskEvents ?? app.conf.workerSendTaskEvents) events.enableTaskEvents();
    const counters: Counters = { total: new Map(), malformed: 0, unknown: 0, leasesLost: 0, connects: 0 };
    const log = app.log.child({ worker: hostname });
    const parts: WorkerParts = {
      app,
      hostname,
      log,
      events,
      revoked: new RevokedIds(app.clock, revokeLimits(app.env)),
      successes: app.conf.workerDeduplicateSuccessfulTasks
        ? new RevokedIds(app.clock, successLimits(app.env))
        : undefined,
      timers: new TimerQueue(app.clock, app.conf.workerTimerPrecision * 1000),
      backend: await app.backend(),
      counters,
      losses: new Losses(),
      acknowledgements: new Acknowledgements(log),
    };
    const executor = new Executor(parts, this.#pools, defaultLimits(app, options));
    const intake = new Intake(parts, executor, transport);
    const autoscaler = this.#createAutoscaler(parts, executor);
    const { prefetchMultiplier: multiplier, disablePrefetch: disabled } = options;
    const holds = transport.capabilities.delay !== 'native';
    const window = new PrefetchWindow(app, { multiplier, disabled, holds }, parts.log, () => ({
      slots: Math.max(autoscaler ? autoscaler.max * (this.#pool.slotsPerChild ?? 1) : 0, this.#pools.size),
      held: intake.held.size,
      limited: executor.rateLimits.count,
      running: executor.running,
    }));
    intake.onHeld = executor.rateLimits.onChange = () => this.#consumer?.updatePrefetch();
    executor.onSlots = () => (window.followsTasks ? this.#consumer?.applyPrefetch() : undefined);
    const peers = new Peers(parts, transport, this.cluster, options, () => executor.running.size);
    const state = this.#createStateFile(parts);
    const steps = new OwnSteps({
      ...{ parts, transport, executor, window, pool: this.#pool, options: options.userOptions ?? {} },
      queues: () => this.queues,
      resize: (by) => this.#resize(by),
      windowChanged: () => this.#consumer?.updatePrefetch(),
      addQueue: async (queue) => this.#consumer?.addQueue(queue),
      cancelQueue: async (name) => this.#consumer?.cancelQueue(name),
      stop: (reason) => void this.stop('warm', reason),
    });
    const startedMs = app.clock.monotonic();
    return { parts, transport, executor, intake, window, autoscaler, peers, state, steps, startedMs };
  }

  async #startPools({ app }: WorkerParts): Promise<void> {
    const tasks = app.tasks.names().flatMap((name) => app.tasks.get(name) ?? []);
    try {
      await this.#pools.start(tasks);
    } catch (error) {
      await this.#pools.close();
      throw error;
    }
    for (const pool of this.#pools.all) void pool.failed?.then((error) => this.#poolFailed(error));
  }

  #createStateFile({ app, hostname, log, revoked }: WorkerParts): StateFile | undefined {
    const file = this.#options.stateDb ?? app.conf.workerStateDb;
    if (file === null) return undefined;
    return new StateFile(nodeFile(file, hostname), { revoked, lamport: app.lamport }, app.clock, log);
  }

  #createAutoscaler({ app, log }: WorkerParts, executor: Executor): Autoscaler | undefined {
    const { autoscale } = this.#options;
    if (!autoscale) return undefined;
    const pool = this.#pool;
    const slots = pool.slotsPerChild ?? 1;
    return new Autoscaler(
      {
        clock: app.clock,
        log,
        slots,
        get current() {
          return pool.size / slots;
        },
        get quantity() {
          return executor.quantity(pool);
        },
        get latencyMs() {
          return executor.latencyMs(pool);
        },
        grow: (by) => this.#inBackground('autoscale', this.#resize(by * slots)),
        maxChanged: () => this.#consumer?.updatePrefetch(),
      },
      autoscale,
    );
  }

  #createConsumer(running: Running): Consumer {
    const { conf } = this.app;
    const { parts, transport, intake, window, peers, steps } = running;
    const { fanout } = transport.capabilities;
    const control = conf.workerEnableRemoteControl && fanout ? new ControlServer(this.#commanded(running)) : undefined;
    if (!fanout) {
      parts.log.warn(
        { broker: transport.displayUrl },
        'this broker does not reach every worker: no remote control, no heartbeats, no gossip',
      );
    }
    return new Consumer(parts, {
      transport,
      queues: () => this.queues,
      prefetch: () => window.size,
      deliver: intake.receive,
      attach: (connection) =>
        steps.connected(connection, async () => {
          await peers.greet(connection);
          await control?.attach(connection);
        }),
      attached: () => steps.consuming(),
      onLost: (error) => {
        intake.lost(error);
        window.lost();
        void steps.disconnected();
      },
      sharesLoop: this.#pools.all.some((pool) => !pool.canTerminate),
      connectTimeoutMs: Math.max(1, conf.brokerConnectionTimeout) * 1000,
      maxRetries: conf.brokerConnectionMaxRetries,
      retry: conf.brokerConnectionRetry,
      retryOnStartup: conf.brokerConnectionRetryOnStartup ?? conf.brokerConnectionRetry,
    });
  }

  #commanded(running: Running): Commanded {
    const { parts, transport, executor, intake, window, autoscaler, peers, steps, startedMs } = running;
    return {
      parts,
      executor,
      pool: this.#pool,
      heartbeat: peers.heartbeat,
      elections: peers.gossip?.elections,
      broker: { ...transport.info, transport: transport.name },
      startedMs,
      get prefetchCount() {
        return Math.max(0, window.size);
      },
      held: intake.held,
      queues: () => this.queues,
      addConsumer: (queue) => this.#inBackground('add consumer', this.#consumer?.addQueue(queue)),
      cancelConsumer: (name) => this.#inBackground('cancel consumer', this.#consumer?.cancelQueue(name)),
      dropHeld: (request, signum) => intake.dropHeld(request, signum),
      autoscaler,
      restartPool: () => this.#inBackground('restart pool', this.#pool.restart?.()),
      resize: (by) => this.#inBackground('resize pool', this.#resize(by)),
      shutdown: (reason) => void this.stop('warm', reason),
      report: () => reportText(this.app, transport),
      stepInfo: () => steps.info(),
    };
  }

  #inBackground(what: string, work: Promise<void> | undefined): void {
    work?.catch((error: unknown) => this.app.log.error({ error, what }, 'remote control command failed'));
  }

  async #resize(by: number): Promise<void> {
    await this.#pool.resize(this.#pool.size + by);
    this.#running?.executor.refill();
    this.#consumer?.updatePrefetch();
  }

  async #purge(transport: Transport): Promise<void> {
    await using connection = await transport.connect();
    const channel = await connection.channel();
    for (const queue of this.queues) {
      await channel.declare(queue);
      const count = await channel.purge(queue.name);
      this.#running?.parts.log.warn({ queue: queue.name, count }, 'messages purged');
    }
  }

  /** Nothing that runs or waits will ever end: it goes back to the broker at once. */
  #poolFailed(error: Error): void {
    void this.#halt('cold', 'pool failed', error);
  }

  /** What had begun ends again. */
  async #startFailed(error: unknown): Promise<never> {
    const failure = error instanceof Error ? error : new Error(String(error));
    if (this.#running && !this.#stopping) await this.#halt('cold', START_FAILED, failure);
    throw failure;
  }

  #giveUp(error: Error): void {
    void this.#halt('warm', 'broker lost', error);
  }

  #halt(mode: StopMode, reason: string, error: Error | undefined, options: StopOptions = {}): Promise<void> {
    this.#urgency ??= new Urgency(mode);
    this.#urgency.raise(mode);
    this.#stopping ??= this.#stop(this.#urgency, reason, error, options);
    return this.#stopping;
  }

  async #stop(urgency: Urgency, reason: string, error: Error | undefined, options: StopOptions): Promise<void> {
    if (!this.#running) {
      await this.#starting?.catch(() => {});
      if (!this.#running) {
        this.#exit.resolve({ reason, error });
        return;
      }
    }
    const { app, hostname } = this;
    const { parts, executor, intake, peers, autoscaler, state, steps } = this.#running;
    const cold = urgency.mode === 'cold';
    parts.log.info({ how: urgency.mode, reason, running: executor.running.size }, 'shutting down');
    // Taken out before the first wait: a slot that becomes free now must not begin another task.
    const givenBack = intake.close();
    if (app.signals.has('workerShuttingDown')) {
      const told = { sender: hostname, worker: this, how: urgency.mode, reason };
      await app.signals.emit('workerShuttingDown', told);
    }
    await steps.close(cold);
    await this.#consumer?.drain();
    await steps.disconnected(cold);
    await givenBack;
    await drain(parts, executor, urgency, (mode) => patienceMs(app, mode, this.#options, options));
    await cutShort(parts, executor);
    peers.stop();
    autoscaler?.stop();
    await steps.idle(cold);
    await parts.events.close();
    await this.#consumer?.close();
    parts.timers.clear();
    await state?.close();
    this.#aliveTimer?.cancel();
    await this.#pools.close();
    await steps.last(cold);
    if (app.signals.has('workerShutdown')) await app.signals.emit('workerShutdown', { sender: hostname, worker: this });
    parts.log.info({ reason }, 'stopped');
    this.#exit.resolve({ reason, error });
  }

  /** A worker that waits for messages keeps its process running, whatever its transport does. */
  #stayAlive(): void {
    this.#aliveTimer = this.app.clock.setTimer(STAY_ALIVE_MS, () => this.#stayAlive());
  }
}
