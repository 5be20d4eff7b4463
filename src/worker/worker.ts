import type { Celery } from '../app/celery.ts';
import { EventDispatcher } from '../events/dispatcher.ts';
import { ContentDisallowed, DecodeError, InvalidTaskError, UsageError } from '../errors.ts';
import { workerDirect } from '../app/queues.ts';
import type { Queue } from '../messaging/entity.ts';
import { classify, decodeHeaders, decodeV1, decompressMessage } from '../protocol/decode.ts';
import type { TaskBody, TaskHeaders } from '../protocol/task-message.ts';
import { parseIso } from '../protocol/time.ts';
import { sleep, type Timer } from '../runtime/clock.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { TimerQueue } from '../runtime/timers.ts';
import type { AppSource } from '../app/load-source.ts';
import { createPool, type PoolOptions } from '../pools/names.ts';
import type { Pool } from '../pools/pool.ts';
import { PoolSet } from '../pools/pool-set.ts';
import type { Delivery, Transport } from '../transports/transport.ts';
import { Autoscaler, type AutoscaleOptions } from './autoscale.ts';
import { Consumer } from './consumer.ts';
import { ControlServer } from './control.ts';
import type { Commanded } from './control-commands.ts';
import { discardExhausted, discardMalformed, discardUnknown } from './discard.ts';
import { Executor } from './executor.ts';
import { Heartbeat } from './heartbeat.ts';
import { Losses } from './lost.ts';
import { nodeName } from './node-name.ts';
import type { Counters, WorkerParts } from './parts.ts';
import type { WorkerVitals } from './vitals.ts';
import { reportText } from './report.ts';
import { Request, viewOf } from './request.ts';
import { RevokedIds, type RevokeLimits } from './revoked.ts';
import { settleRevoked } from './settle.ts';
import { decide } from './strategy.ts';

export interface WorkerOptions {
  /** Node name; `%h`, `%n`, `%d` are filled in. @default 'celery@%h' */
  readonly hostname?: string | undefined;
  /** Consume these queues. @default the setting `taskQueues`, else the default queue */
  readonly queues?: readonly string[] | undefined;
  readonly excludeQueues?: readonly string[] | undefined;
  /** Tasks at a time, or children where the pool has some. @default setting `workerConcurrency`, else what the pool finds right */
  readonly concurrency?: number | undefined;
  /** `async`, `process`, `thread`, `solo`; a pool of your own. @default setting `workerPool` */
  readonly pool?: string | Pool | undefined;
  /**
   * Where children of a process or thread pool find the app: path, or file URL, of a module that exports it.
   * It must not start a worker when it is imported.
   */
  readonly appModule?: string | AppSource | undefined;
  /** Tasks at a time in each child. @default setting `workerSlots` */
  readonly slots?: number | undefined;
  /** A child is replaced after this many. @default setting `workerMaxTasksPerChild` */
  readonly maxTasksPerChild?: number | undefined;
  /** Kilobytes; a child above it is replaced after its task. @default setting `workerMaxMemoryPerChild` */
  readonly maxMemoryPerChild?: number | undefined;
  /** Lets the pool grow and shrink between two numbers of children. */
  readonly autoscale?: AutoscaleOptions | undefined;
  /** Messages fetched ahead for each slot; 0 is without limit. @default setting `workerPrefetchMultiplier` */
  readonly prefetchMultiplier?: number | undefined;
  /** Publish task events. @default setting `workerSendTaskEvents` */
  readonly taskEvents?: boolean | undefined;
  /** @default '2s' */
  readonly heartbeatInterval?: Duration | undefined;
  readonly withoutHeartbeat?: boolean | undefined;
  /** Hard limit for tasks that have none. @default setting `taskTimeLimit` */
  readonly timeLimit?: Duration | undefined;
  readonly softTimeLimit?: Duration | undefined;
  /** How long a warm stop waits for running tasks. @default setting `drainTimeout`: as long as they take */
  readonly drainTimeout?: Duration | undefined;
  /** Drop what waits in the queues before consuming. */
  readonly purge?: boolean | undefined;
  /** Accepted for Celery's sake: this version has neither. */
  readonly withoutGossip?: boolean | undefined;
  readonly withoutMingle?: boolean | undefined;
}

/** `warm`: running tasks finish. `cold`: their signals abort, what is not acknowledged goes back. */
export type StopMode = 'warm' | 'cold';

/** How a worker's run ended. */
export interface WorkerExit {
  readonly reason: string;
  /** Set when the broker could not be reached any more. */
  readonly error: Error | undefined;
}

/** After a cold stop aborted the tasks' signals, they have this long to end by themselves. */
const COLD_GRACE_MS = 1_000;
const HEARTBEAT_MS = 2_000;
const STAY_ALIVE_MS = 3_600_000;
/** Messages held for their ETA where `workerEtaTaskLimit` sets no bound. */
const MOST_HELD = 10_000;
/** Messages that wait here for a rate limit beside the prefetch window. */
const MOST_LIMITED = 1_000;

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
  readonly #options: WorkerOptions;
  readonly #pool: Pool;
  readonly #pools: PoolSet;
  readonly #held = new Set<Request>();
  /** Late-ack requests that ran when their connection was lost, by id. */
  readonly #orphans = new Map<string, Request>();
  readonly #exit: Deferred<WorkerExit> = deferred();
  readonly #cold: Deferred<void> = deferred();
  #parts: WorkerParts | undefined;
  #executor: Executor | undefined;
  #autoscaler: Autoscaler | undefined;
  #consumer: Consumer | undefined;
  #heartbeat: Heartbeat | undefined;
  #transport: Transport | undefined;
  #accept: ReadonlySet<string> = new Set();
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #startedMs = 0;
  #aliveTimer: Timer | undefined;
  /** Rate-limited tasks fill the window. */
  #starved = false;

  constructor(app: Celery, options: WorkerOptions = {}) {
    this.app = app;
    this.#options = options;
    this.hostname = nodeName(options.hostname);
    refuseInChild();
    const common = poolOptions(app, this.hostname, options);
    this.#pool =
      typeof options.pool === 'object' ? options.pool : createPool(options.pool ?? poolSetting(app), app, common);
    this.#pools = new PoolSet(this.#pool, (name) => createPool(name, app, { ...common, concurrency: null }));
    this.#exit.promise.catch(() => {});
  }

  /** The pool's name and slots, for banners. */
  get pool(): { readonly name: string; readonly size: number } {
    return this.#pool;
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
    const { counters, events } = this.#parts ?? {};
    if (!counters || !events) return undefined;
    return {
      state: this.#consumer?.state ?? 'closed',
      active: this.active,
      slots: this.#pool.size,
      held: this.#held.size,
      waiting: this.#executor?.waiting.length ?? 0,
      malformed: counters.malformed,
      unknown: counters.unknown,
      leasesLost: counters.leasesLost,
      connects: counters.connects,
      eventsWaiting: events.waiting,
      eventsDropped: events.dropped,
    };
  }

  /** Requests that run now. */
  get active(): number {
    return this.#executor?.running.size ?? 0;
  }

  /** Consumes when it resolves. @throws when the broker cannot be reached and no more tries are allowed */
  start(): Promise<void> {
    this.#starting ??= this.#start();
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
        return await this.#exit.promise;
      }
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Stops; a second call with `cold` cuts a warm stop short. Resolves when nothing runs and the broker is let go. */
  stop(mode: StopMode = 'warm', reason = 'stop'): Promise<void> {
    if (mode === 'cold') this.#cold.resolve();
    this.#stopping ??= this.#stop(mode, reason, undefined);
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop('warm', 'disposed');
  }

  async #start(): Promise<void> {
    if (this.#stopping) throw new UsageError('this worker was stopped: create another');
    const { app, hostname } = this;
    const options = this.#options;
    const told = { sender: hostname, worker: this, conf: app.conf };
    if (app.signals.has('celerydInit')) await app.signals.emit('celerydInit', told);
    if (options.queues?.length) app.queues.select(options.queues);
    if (options.excludeQueues?.length) app.queues.deselect(options.excludeQueues);
    if (app.conf.workerDirect) app.queues.selectAdd(workerDirect(hostname));
    if (app.signals.has('celerydAfterSetup')) await app.signals.emit('celerydAfterSetup', told);
    this.#accept = app.serializers.acceptSet(app.conf.acceptContent);
    const transport = await app.transport();
    this.#transport = transport;
    const events = new EventDispatcher(app, hostname);
    if (options.taskEvents ?? app.conf.workerSendTaskEvents) events.enableTaskEvents();
    const counters: Counters = { total: new Map(), malformed: 0, unknown: 0, leasesLost: 0, connects: 0 };
    const parts: WorkerParts = {
      app,
      hostname,
      log: app.log.child({ worker: hostname }),
      events,
      revoked: new RevokedIds(app.clock, revokeLimits(app.env)),
      timers: new TimerQueue(app.clock),
      backend: await app.backend(),
      counters,
      losses: new Losses(),
    };
    this.#parts = parts;
    this.#startedMs = app.clock.monotonic();
    this.#stayAlive();
    const { taskTimeLimit, taskSoftTimeLimit } = app.conf;
    this.#executor = new Executor(parts, this.#pools, {
      timeLimitMs: limitMs(options.timeLimit, taskTimeLimit),
      softTimeLimitMs: limitMs(options.softTimeLimit, taskSoftTimeLimit),
    });
    this.#executor.rateLimits.onChange = () => this.#consumer?.updatePrefetch();
    this.#createAutoscaler(parts, this.#executor);
    if (!options.withoutHeartbeat && transport.capabilities.fanout) {
      const intervalMs = durationMs(options.heartbeatInterval ?? HEARTBEAT_MS);
      const processed = (): number => [...counters.total.values()].reduce((sum, count) => sum + count, 0);
      this.#heartbeat = new Heartbeat(parts, intervalMs, () => this.active, processed);
    }
    if (app.signals.has('workerInit')) await app.signals.emit('workerInit', { sender: hostname, worker: this });
    if (options.purge) await this.#purge(transport);
    await this.#startPools(parts);
    const consumer = this.#createConsumer(transport, parts);
    this.#consumer = consumer;
    consumer.run().then(
      () => {},
      (error: unknown) => this.#giveUp(error instanceof Error ? error : new Error(String(error))),
    );
    await consumer.ready;
    this.#heartbeat?.start();
    if (this.#autoscaler) {
      const autoscaler = this.#autoscaler;
      this.#executor.onSubmit = () => autoscaler.check();
      autoscaler.start();
    }
    if (app.signals.has('workerReady')) await app.signals.emit('workerReady', { sender: hostname, worker: this });
    if (!this.#pool.canTerminate) {
      parts.log.debug({ pool: this.#pool.name }, 'a hard time limit gives up on a task, it cannot end its code');
    }
    parts.log.info({ queues: this.queues.map(({ name }) => name) }, 'ready');
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

  #createAutoscaler({ app, log }: WorkerParts, executor: Executor): void {
    const { autoscale } = this.#options;
    if (!autoscale) return;
    const pool = this.#pool;
    const slots = pool.slotsPerChild ?? 1;
    this.#autoscaler = new Autoscaler(
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

  #createConsumer(transport: Transport, parts: WorkerParts): Consumer {
    const { conf } = this.app;
    const control =
      conf.workerEnableRemoteControl && transport.capabilities.fanout
        ? new ControlServer(this.#commanded(transport))
        : undefined;
    return new Consumer(parts, {
      transport,
      queues: () => this.queues,
      prefetch: () => this.#prefetch(),
      deliver: this.#receive,
      attach: async (connection) => control?.attach(connection),
      onLost: (error) => this.#lost(error),
      connectTimeoutMs: Math.max(1, conf.brokerConnectionTimeout) * 1000,
      maxRetries: conf.brokerConnectionMaxRetries,
      retry: conf.brokerConnectionRetry,
      retryOnStartup: conf.brokerConnectionRetryOnStartup ?? conf.brokerConnectionRetry,
    });
  }

  /** Source: `Consumer.initial_prefetch_count`; one more for each message held for its ETA. */
  #prefetch(): number {
    const multiplier = this.#options.prefetchMultiplier ?? this.app.conf.workerPrefetchMultiplier;
    const most = this.#autoscaler ? this.#autoscaler.max * (this.#pool.slotsPerChild ?? 1) : 0;
    return multiplier === 0 ? 0 : Math.max(most, this.#pools.size) * multiplier + this.#held.size + this.#limited();
  }

  /** Messages that wait for a rate limit do not count, up to a bound: tasks without a limit would wait behind them. */
  #limited(): number {
    const count = this.#executor?.rateLimits.count ?? 0;
    if (count < MOST_LIMITED) {
      this.#starved = false;
      return count;
    }
    if (!this.#starved) {
      this.#starved = true;
      this.#parts?.log.warn(
        { waiting: count },
        'rate-limited tasks fill the worker: tasks without a limit wait behind them',
      );
    }
    return MOST_LIMITED;
  }

  /** Hot path. Never throws: whatever a message holds, the next one is received. */
  readonly #receive = (delivery: Delivery): void => {
    const parts = this.#parts as WorkerParts;
    const { message } = delivery;
    let headers: TaskHeaders | undefined;
    try {
      if (message.body.length > this.app.conf.maxMessageBytes) {
        throw new InvalidTaskError(
          `body of ${message.body.length} bytes: expected at most ${this.app.conf.maxMessageBytes} (maxMessageBytes)`,
        );
      }
      if (classify(message) === 'other') {
        void this.#receiveOther(delivery);
        return;
      }
      headers = decodeHeaders(message);
      this.#accepted(delivery, headers);
    } catch (error) {
      void discardMalformed(parts, delivery, error, headers);
    }
  };

  /** Protocol 1 and whatever else arrives: only the body tells. */
  async #receiveOther(delivery: Delivery): Promise<void> {
    const parts = this.#parts as WorkerParts;
    try {
      const { message } = delivery;
      const plain =
        message.headers['compression'] === undefined
          ? message
          : await decompressMessage(message, this.app.conf.maxDecompressedBytes);
      const { headers, body } = decodeV1(plain, this.app.serializers, this.#accept);
      this.#accepted(delivery, headers, body);
    } catch (error) {
      const known =
        error instanceof DecodeError || error instanceof ContentDisallowed || error instanceof InvalidTaskError;
      await discardMalformed(parts, delivery, known ? error : new InvalidTaskError(String(error), { cause: error }));
    }
  }

  #accepted(delivery: Delivery, headers: TaskHeaders, body?: TaskBody): void {
    const parts = this.#parts as WorkerParts;
    const { app } = this;
    if (this.#stopping) {
      void delivery.reject({ requeue: true }).catch(() => {});
      return;
    }
    if (this.#orphans.size > 0 && this.#adopt(delivery, headers.id)) return;
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
      deliveryCount: delivery.deliveryCount,
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
        (this.#executor as Executor).submit(request);
    }
  }

  #horizonMs(): number | undefined {
    const { etaHorizon } = this.app.conf;
    return etaHorizon === null || this.#transport?.capabilities.delay !== 'native' ? undefined : etaHorizon * 1000;
  }

  #received(request: Request): void {
    const { events, log } = this.#parts as WorkerParts;
    const { headers, task } = request;
    if (this.app.signals.has('taskReceived')) {
      const view = viewOf(request.delivery, headers, request.body, this.hostname);
      void this.app.signals.emit('taskReceived', { sender: task.name, request: view });
    }
    if (log.isLevelEnabled?.('info') ?? true) {
      log.info({ taskId: request.id, task: request.displayName }, 'task received');
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
    this.#consumer?.updatePrefetch();
    request.timer = (this.#parts as WorkerParts).timers.at(dueMs, () => {
      this.#held.delete(request);
      this.#consumer?.updatePrefetch();
      (this.#executor as Executor).submit(request);
    });
  }

  /** Far ETAs wait in the broker: put there first, then acknowledged, so that a crash repeats and loses nothing. */
  async #delay(request: Request, delayMs: number): Promise<void> {
    const { delivery } = request;
    const { log } = this.#parts as WorkerParts;
    try {
      // To this queue alone: through its exchange, a message bound to several queues would multiply.
      const to = { exchange: '', routingKey: delivery.queue };
      await this.app.publisher.publishRaw(delivery.message, to, { delayMs });
      await delivery.ack();
    } catch (error) {
      log.warn({ error, taskId: request.id }, 'a task with a far ETA could not be put back into the broker');
      await delivery.reject({ requeue: true }).catch(() => {});
    }
  }

  /** The same message again while its task still runs here: the run keeps going and settles the new delivery. */
  #adopt(delivery: Delivery, id: string): boolean {
    const request = this.#orphans.get(id);
    if (!request) return false;
    this.#orphans.delete(id);
    if (request.state !== 'running') return false;
    request.delivery = delivery;
    this.#parts?.log.info({ taskId: id, task: request.displayName }, 'task kept running across a reconnect');
    return true;
  }

  /**
   * Forgets what has not begun and remembers what runs. Most brokers deliver again what a lost connection held; one
   * whose leases outlive the connection has to be told, else the message waits for as long as this worker lives.
   */
  #lost(error: Error): void {
    const executor = this.#executor as Executor;
    for (const request of [...executor.takeWaiting(), ...this.#held]) {
      request.state = 'over';
      request.cancelTimers();
      request.delivery.reject({ requeue: true }).catch(() => undefined);
    }
    this.#held.clear();
    this.#orphans.clear();
    for (const request of executor.running) {
      if (!request.acknowledged && request.startedMs !== undefined) this.#orphans.set(request.id, request);
    }
    this.#parts?.log.warn({ error, running: executor.running.size }, 'connection to broker lost');
  }

  #commanded(transport: Transport): Commanded {
    const prefetchCount = (): number => this.#prefetch();
    return {
      parts: this.#parts as WorkerParts,
      executor: this.#executor as Executor,
      pool: this.#pool,
      heartbeat: this.#heartbeat,
      broker: { ...transport.info, transport: transport.name },
      startedMs: this.#startedMs,
      get prefetchCount() {
        return prefetchCount();
      },
      held: this.#held,
      queues: () => this.queues,
      addConsumer: (queue) => this.#inBackground('add consumer', this.#consumer?.addQueue(queue)),
      cancelConsumer: (name) => this.#inBackground('cancel consumer', this.#consumer?.cancelQueue(name)),
      dropHeld: (request, signum) => this.#dropHeld(request, signum),
      autoscaler: this.#autoscaler,
      restartPool: () => this.#inBackground('restart pool', this.#pool.restart?.()),
      resize: (by) => this.#inBackground('resize pool', this.#resize(by)),
      shutdown: (reason) => void this.stop('warm', reason),
      report: () => reportText(this.app, transport),
    };
  }

  #dropHeld(request: Request, signum: number | null): void {
    if (!this.#held.delete(request)) return;
    request.state = 'over';
    request.cancelTimers();
    this.#consumer?.updatePrefetch();
    if (signum !== null) request.termination = { signum };
    void settleRevoked(this.#parts as WorkerParts, request, signum === null ? 'revoked' : 'terminated');
  }

  #inBackground(what: string, work: Promise<void> | undefined): void {
    work?.catch((error: unknown) => this.#parts?.log.error({ error, what }, 'remote control command failed'));
  }

  async #resize(by: number): Promise<void> {
    await this.#pool.resize(this.#pool.size + by);
    this.#executor?.refill();
    this.#consumer?.updatePrefetch();
  }

  async #purge(transport: Transport): Promise<void> {
    await using connection = await transport.connect();
    const channel = await connection.channel();
    for (const queue of this.queues) {
      await channel.declare(queue);
      const count = await channel.purge(queue.name);
      this.#parts?.log.warn({ queue: queue.name, count }, 'messages purged');
    }
  }

  /** Nothing that runs or waits will ever end: it goes back to the broker at once. */
  #poolFailed(error: Error): void {
    this.#cold.resolve();
    this.#stopping ??= this.#stop('cold', 'pool failed', error);
  }

  #giveUp(error: Error): void {
    this.#stopping ??= this.#stop('warm', 'broker lost', error);
  }

  async #stop(mode: StopMode, reason: string, error: Error | undefined): Promise<void> {
    const parts = this.#parts;
    const executor = this.#executor;
    if (!parts || !executor) {
      await this.#starting?.catch(() => {});
      if (!this.#parts) {
        this.#exit.resolve({ reason, error });
        return;
      }
      return this.#stop(mode, reason, error);
    }
    const { app, hostname } = this;
    parts.log.info({ how: mode, reason, running: executor.running.size }, 'shutting down');
    // Taken out before the first wait: a slot that becomes free now must not begin another task.
    const givenBack = this.#giveBack(executor);
    if (app.signals.has('workerShuttingDown')) {
      await app.signals.emit('workerShuttingDown', { sender: hostname, worker: this, how: mode, reason });
    }
    await this.#consumer?.drain();
    await givenBack;
    if (mode === 'warm') await Promise.race([this.#drained(executor), this.#cold.promise]);
    await this.#cutShort(executor);
    this.#heartbeat?.stop();
    this.#autoscaler?.stop();
    await parts.events.close();
    await this.#consumer?.close();
    parts.timers.clear();
    this.#aliveTimer?.cancel();
    await this.#pools.close();
    if (app.signals.has('workerShutdown')) await app.signals.emit('workerShutdown', { sender: hostname, worker: this });
    parts.log.info({ reason }, 'stopped');
    this.#exit.resolve({ reason, error });
  }

  /** A worker that waits for messages keeps its process running, whatever its transport does. */
  #stayAlive(): void {
    this.#aliveTimer = this.app.clock.setTimer(STAY_ALIVE_MS, () => this.#stayAlive());
  }

  /** What has not begun goes back at once: others may run it while this worker drains. */
  async #giveBack(executor: Executor): Promise<void> {
    const idle = [...executor.takeWaiting(), ...this.#held];
    this.#held.clear();
    for (const request of idle) {
      request.state = 'over';
      request.cancelTimers();
    }
    await Promise.allSettled(idle.map(({ delivery }) => delivery.reject({ requeue: true })));
  }

  async #drained(executor: Executor): Promise<void> {
    const { drainTimeout } = this.#options;
    const { drainTimeout: setting } = this.app.conf;
    const limit = drainTimeout === undefined ? (setting === null ? null : setting * 1000) : durationMs(drainTimeout);
    if (limit === null) return executor.idle();
    const over = new AbortController();
    const timeout = sleep(this.app.clock, limit, over.signal).then(
      () => this.#parts?.log.warn({ running: executor.running.size, limitMs: limit }, 'drain timeout: stopping cold'),
      () => {},
    );
    await Promise.race([executor.idle(), timeout]);
    over.abort();
  }

  /** Aborts what still runs. Its messages are not settled, so closing the connection returns them. */
  async #cutShort(executor: Executor): Promise<void> {
    executor.abandon(new ShutdownAbort());
    const over = new AbortController();
    await Promise.race([executor.idle(), sleep(this.app.clock, COLD_GRACE_MS, over.signal).catch(() => {})]);
    over.abort();
  }
}

/** Reason of `ctx.signal` when the worker shuts down under a running task. */
export class ShutdownAbort extends UsageError {
  constructor() {
    super('the worker shuts down; the task will run again elsewhere');
  }
}

/** Source: celery.worker.state `REVOKES_MAX`, `REVOKE_EXPIRES`. */
function revokeLimits(env: Readonly<Record<string, string | undefined>>): RevokeLimits {
  const number = (name: string): number | undefined => {
    const text = env[name];
    if (text === undefined || text === '') return undefined;
    const value = Number(text);
    if (!Number.isFinite(value) || value < 0) throw new UsageError(`${name}: expected a number, got "${text}"`);
    return value;
  };
  const seconds = number('CELERY_WORKER_REVOKE_EXPIRES');
  return {
    max: number('CELERY_WORKER_REVOKES_MAX'),
    lifetimeMs: seconds === undefined ? undefined : seconds * 1000,
  };
}

function limitMs(given: Duration | undefined, settingSeconds: number | null): number | null {
  if (given !== undefined) return durationMs(given);
  return settingSeconds === null ? null : settingSeconds * 1000;
}

/** A child of a pool that imports a module which starts a worker would start children without end. */
function refuseInChild(): void {
  if (!(Symbol.for('celeriac.pool-child') in globalThis)) return;
  throw new UsageError(
    'a child of a pool imported a module that starts a worker: keep the app in a module of its own (appModule)',
  );
}

function poolOptions(app: Celery, hostname: string, options: WorkerOptions): PoolOptions {
  const { appModule, slots, maxTasksPerChild, maxMemoryPerChild } = options;
  return {
    concurrency: options.autoscale
      ? Math.max(1, options.autoscale.min)
      : (options.concurrency ?? app.conf.workerConcurrency),
    slots,
    source: typeof appModule === 'string' ? { module: appModule } : appModule,
    hostname,
    maxTasksPerChild,
    maxMemoryPerChild,
  };
}

/** Celery's default pool forks; here that setting's default means the event loop. */
function poolSetting(app: Celery): string {
  return app.conf.workerPool === 'prefork' ? 'async' : app.conf.workerPool;
}
