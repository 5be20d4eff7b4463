import { planOf } from './canvas-plan.ts';
import { streamGroup, type StreamedGroup, type StreamOptions } from './stream-group.ts';
import type { CanvasPlan } from '../canvas/outline.ts';
import { Cancellation } from '../runtime/cancellation.ts';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ResultBackend, ResultRecord } from '../backends/backend.ts';
import { openBackend } from '../backends/drivers.ts';
import { Call, type SendLimits } from '../canvas/call.ts';
import { asDict, callDict } from '../canvas/dict.ts';
import type { CallOptions } from '../canvas/call-options.ts';
import { sendLimits } from '../canvas/call.ts';
import type { AnySignature, Signature } from '../canvas/types.ts';
import { wireOptions, type WireOptions } from '../canvas/wire-options.ts';
import { ImproperlyConfigured, NotRegistered, UsageError } from '../errors.ts';
import { fromExceptionRecord } from '../protocol/exception.ts';
import { resultCodec, type ResultTuple } from '../protocol/result.ts';
import type { CeleryEvent } from '../protocol/event-types.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { AsyncResult, GroupResult } from '../result/async-result.ts';
import { resultFrom } from '../result/result-from.ts';
import { RetryingBackend } from '../result/retrying-backend.ts';
import type { ResultSource } from '../result/source.ts';
import { TaskResult } from '../result/task-result.ts';
import type { PeriodicTask } from './periodic.ts';
import type { Schedule } from '../schedules/schedule.ts';
import { systemClock, type Clock } from '../runtime/clock.ts';
import { LogRelay } from '../runtime/log-relay.ts';
import type { Logger } from '../runtime/logger.ts';
import { systemRandom, type Random } from '../runtime/random.ts';
import { createSerializers, type SerializerRegistry } from '../serializers/registry.ts';
import { openTransport } from '../transports/drivers.ts';
import type { DriverContext, Transport } from '../transports/transport.ts';
import { builtinTasks } from './builtins.ts';
import { Batch } from './batch.ts';
import type { Config, ConfigInput } from './config.ts';
import { findConfigFile, importModule } from './config-file.ts';
import { Settings } from './layered-settings.ts';
import { brokerUrls, failoverOrder } from './broker-urls.ts';
import { Control } from './control.ts';
import {
  CustomCommands,
  type CommandArgument,
  type CustomCommand,
  type CustomCommandOptions,
  type RunCommand,
} from './custom-commands.ts';
import { failover } from '../transports/failover.ts';
import { defineTask, Definition, messageDefaults, RemoteTaskHandle, TaskHandle } from './define-task.ts';
import { findFiles } from './discover.ts';
import { backendOptions, backendUrl, brokerOptions } from './driver-options.ts';
import { publishEvent } from './event-sender.ts';
import { EventStream, type EventStreamOptions } from './event-stream.ts';
import { Lamport } from './lamport.ts';
import { Lineage } from './lineage.ts';
import { Publisher } from './publisher.ts';
import { QueueTable } from './queues.ts';
import { TaskRegistry } from './registry.ts';
import { NO_EMBED, taskRequest, type TaskRequest } from './request.ts';
import type { AnyTaskOptions } from './resolve-options.ts';
import { Sender } from './sender.ts';
import { SignalHub, type SignalHandler, type SignalName, type SignalOptions } from './signals.ts';
import type { DefineTask, Handler, TaskOf } from './task.ts';
import type { TaskOptions } from './task-options.ts';
import { execute } from './trace.ts';

const brand: unique symbol = Symbol.for('celeriac.app');

/** An app's settings, and the parts that can be put in from outside. */
export type CeleryOptions = ConfigInput & {
  /** Name of the project, for people. */
  readonly main?: string;
  /** Broker URL, or several; a transport of your own. @default the embedded `sqlite://` */
  readonly broker?: string | readonly string[] | Transport;
  /** Result backend URL; a backend of your own, which stays open when the app closes. */
  readonly backend?: string | ResultBackend;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
  /** Read for overrides such as `CELERY_BROKER_URL`. @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>;
};

/**
 * One application: its settings, its tasks, and its way to the broker and the results. Nothing connects before the
 * first call that needs it. Several apps in one process know nothing of each other.
 *
 * @example
 * const app = new Celery({ broker: 'redis://localhost:6379/0', backend: 'redis://localhost:6379/1' });
 * const add = app.task('math.add', (x: number, y: number) => x + y);
 * const result = await add.delay(2, 3);
 */
export class Celery {
  /** Recognised by apps made with another copy of the library. */
  readonly [brand] = true;
  readonly main: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly tasks: TaskRegistry = new TaskRegistry();
  readonly serializers: SerializerRegistry = createSerializers();
  readonly signals: SignalHub;
  /** Follows the running task. */
  readonly lineage: Lineage = new Lineage();
  readonly lamport: Lamport = new Lamport();
  readonly sender: Sender;
  /** What result handles ask. */
  readonly results: ResultSource;
  /** Identity of this app in this process: `reply_to`, and the name of reply queues. */
  readonly oid: string;
  /** `gen<pid>@<host>` */
  readonly origin: string = `gen${process.pid}@${hostname()}`;
  /** Wire names of the application's own error classes. */
  readonly errorNames: ReadonlyMap<unknown, string>;
  /**
   * Defines a task. The name is its contract on the wire; arguments and result are inferred from the handler.
   *
   * @example
   * const add = app.task('math.add', (x: number, y: number) => x + y);
   */
  readonly task: DefineTask;

  /** What beat sends besides the setting `beatSchedule`, by name. */
  readonly periodicTasks: Map<string, PeriodicTask> = new Map();

  readonly #options: Pick<CeleryOptions, 'broker' | 'backend'>;
  readonly #errors = new Map<string, (args: readonly unknown[]) => Error>();
  readonly #errorNames = new Map<unknown, string>();
  readonly #definitions = new Map<string, Definition>();
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #settings: Settings;
  #queues: QueueTable | undefined;
  #publisher: Publisher | undefined;
  /** Commands for remote control that this app added. */
  readonly commands: CustomCommands = new CustomCommands();
  #control: Control | undefined;
  #readTransport: Promise<Transport> | undefined;
  #writeTransport: Promise<Transport> | undefined;
  #backend: Promise<ResultBackend> | undefined;
  #closed = false;

  constructor(options: CeleryOptions = {}) {
    const { main, broker, backend, clock, random, log, env, ...settings } = options;
    this.#options = { ...(broker === undefined ? {} : { broker }), ...(backend === undefined ? {} : { backend }) };
    const urls = {
      ...(broker === undefined ? {} : { brokerUrl: isTransport(broker) ? `${broker.name}://` : broker }),
      ...(typeof backend === 'string' ? { resultBackend: backend } : {}),
    };
    this.#env = env ?? process.env;
    this.#settings = new Settings({ ...settings, ...urls }, this.#env);
    void this.conf; // a setting that cannot work is said here, not at the first call
    this.main = main ?? 'celeriac';
    this.clock = clock ?? systemClock;
    this.random = random ?? systemRandom();
    this.log = log ?? new LogRelay();
    this.oid = this.random.uuid();
    this.signals = new SignalHub(this.log);
    this.errorNames = this.#errorNames;
    this.results = this.#resultSource();
    this.sender = new Sender(this);
    this.task = defineTask((name, options, handler) => this.#define(name, options, handler));
    for (const task of builtinTasks(this)) this.tasks.add(task);
  }

  #define(name: string, options: AnyTaskOptions, handler: Handler): unknown {
    const task = new Definition(this, name, options, handler);
    this.tasks.add(task);
    this.#definitions.set(name, task);
    return new TaskHandle(this, task);
  }

  /**
   * Sends a signature whenever the schedule says so, as long as a beat runs for this app. The same name replaces.
   *
   * @param options of each run; Celery's `expires` counts from the moment of sending
   * @example
   * app.addPeriodicTask('nightly', crontab({ hour: 3, minute: 0, timezone: 'Europe/Paris' }), add.s(2, 3));
   */
  addPeriodicTask<Out, Handle>(
    name: string,
    schedule: Schedule,
    signature: Signature<[], Out, Handle>,
    options?: CallOptions,
  ): void {
    const dict = (options === undefined ? signature : signature.set(options)).toJSON();
    this.periodicTasks.set(name, { name, schedule, call: () => dict });
  }

  /** The settings in force: checked, complete, frozen. */
  get conf(): Config {
    return this.#settings.config;
  }

  /**
   * Changes one setting, as `app.conf.x = …` does in Celery. Wins over `configFrom()`; undefined takes it back.
   * @throws {UsageError} once queues or connections were made by the old settings
   */
  configure(settings: ConfigInput): void {
    this.#refuseLate();
    for (const [name, value] of Object.entries(settings)) {
      if (value === undefined) this.#settings.unset(name);
      else this.#settings.set(name, value);
    }
  }

  /**
   * Takes an object, or the default export of a module, as the configuration. What the constructor was given wins.
   * @param source object, or path of a module; left out: the module that `CELERY_CONFIG_MODULE` names, else
   *   `celery.config.ts` (or `.js`, `.mjs`, …) or `celeryconfig.*` in the working directory, if there is one
   * @param options.namespace read only keys that begin with it: `'CELERY'` for `CELERY_BROKER_URL`
   * @param options.silent a module that does not exist is no error
   * @returns whether there was something to take
   * @throws {UsageError} once queues or connections were made by the old settings
   * @throws {ImproperlyConfigured} when there is no such module, or it names settings that nobody knows
   */
  async configFrom(source?: object | string, options: ConfigSource = {}): Promise<boolean> {
    source ??= this.#env['CELERY_CONFIG_MODULE'] || findConfigFile(process.cwd());
    if (source === undefined) return false;
    const object = typeof source === 'string' ? await settingsModule(source, options.silent ?? false) : source;
    if (object === undefined) return false;
    this.#refuseLate();
    this.#settings.load(object, options);
    void this.conf; // what cannot work is said here
    await this.signals.emit('afterConfigure', { sender: this.main });
    return true;
  }

  /**
   * Takes the module that an environment variable names as the configuration.
   * @returns whether there was something to take
   * @throws {ImproperlyConfigured} when the variable is not set, or names no module
   */
  async configFromEnvvar(name: string, options: ConfigSource = {}): Promise<boolean> {
    const module = this.#env[name];
    if (module) return this.configFrom(module, options);
    if (options.silent) return false;
    throw new ImproperlyConfigured(
      `the environment variable ${name} is not set: expected the path of a module with settings`,
    );
  }

  /**
   * Values that count where nobody says otherwise; what the constructor, `configure()` and `configFrom()` say wins.
   * @throws {UsageError} once queues or connections were made by the old settings
   */
  addDefaults(settings: ConfigInput): void {
    this.#refuseLate();
    this.#settings.addDefaults(settings);
    void this.conf;
  }

  #refuseLate(): void {
    if (!this.#queues && !this.#publisher && !this.#readTransport && !this.#writeTransport && !this.#backend) return;
    throw new UsageError('the settings are in use already: change them before the first call, worker or connection');
  }

  /** The queues known by name, and those a worker of this app consumes. */
  get queues(): QueueTable {
    this.#queues ??= new QueueTable(this.conf);
    return this.#queues;
  }

  /** Builds and publishes messages. */
  get publisher(): Publisher {
    this.#publisher ??= new Publisher(this);
    return this.#publisher;
  }

  /** A task that runs elsewhere, in Python for example: a name and a type. */
  remoteTask<F extends (...args: never[]) => unknown>(name: string, options: TaskOptions = {}): TaskOf<F> {
    const defaults = messageDefaults(options, options.ignoreResult ?? false);
    return new RemoteTaskHandle(this, name, defaults) as unknown as TaskOf<F>;
  }

  /** Options that messages of a task have where the call says nothing; undefined when there are none. */
  callDefaults(task: string): WireOptions | undefined {
    return this.#definitions.get(task)?.messageDefaults;
  }

  /** Sends a task by its name alone. */
  async send<T = unknown>(name: string, args: readonly unknown[] = [], options?: CallOptions): Promise<AsyncResult<T>> {
    if (this.conf.taskAlwaysEager) {
      this.log.warn({ task: name }, 'taskAlwaysEager has no effect on send(): the task is published');
    }
    const dict = callDict(name, args, options?.kwargs === undefined ? {} : { kwargs: options.kwargs });
    const handle = await this.sender.sendDetached(dict, wireOptions(options), sendLimits(options));
    this.lineage.current?.children.push(handle.toJSON());
    return handle as AsyncResult<T>;
  }

  /**
   * Sends many calls together: they travel over one connection while more are made, and are awaited once.
   * @returns their handles, in the order of the calls
   * @throws what the first call failed with, once all the others are over
   *
   * @example
   * const handles = await app.batch(async (batch) => {
   *   for (const id of ids) await batch.send('users.mail', [id]);
   * });
   */
  async batch(fill: (batch: Batch) => void | Promise<void>): Promise<AsyncResult<unknown>[]> {
    const batch = new Batch(this);
    try {
      await fill(batch);
    } catch (error) {
      await batch.settle().catch(() => undefined);
      throw error;
    }
    return batch.settle();
  }

  /** Publishes a signature whose arguments are complete. */
  sendSignature(dict: SignatureDict, options: WireOptions, limits: SendLimits): Promise<AsyncResult<unknown>> {
    return this.sender.send(dict, options, limits);
  }

  /** Calls a registered task's body here, like a function. */
  async call(dict: SignatureDict): Promise<unknown> {
    const task = this.tasks.get(dict.task);
    if (task === undefined) throw new NotRegistered(dict.task);
    const run = this.lineage.current;
    const { args, kwargs } = dict;
    const request: TaskRequest = run
      ? { ...run.request, task: task.name, args, kwargs, calledDirectly: true }
      : directRequest(this, dict);
    return execute(this, task, request, new Cancellation());
  }

  /** A signature from its serialized form. What it takes and yields cannot be known. */
  signature(dict: SignatureDict): Signature<unknown[], unknown> {
    return new Call(this, asDict(dict)) as unknown as Signature<unknown[], unknown>;
  }

  /** What sending a signature would do: messages, queues, sizes, kinds of chords, and what cannot work. Sends nothing. */
  plan(signature: AnySignature): Promise<CanvasPlan> {
    return planOf(this, signature);
  }

  /**
   * Sends a group from a generator, with a window of members under way at a time.
   *
   * @example
   * await app.streamGroup(rows.map((row) => index.s(row)), { body: report.s() });
   */
  streamGroup(
    members: Iterable<AnySignature> | AsyncIterable<AnySignature>,
    options?: StreamOptions,
  ): Promise<StreamedGroup> {
    return streamGroup(this, members, options);
  }

  /** The handle of a task that was sent earlier, or by somebody else. */
  result<T = unknown>(id: string): AsyncResult<T> {
    return new TaskResult<T>(this.results, id);
  }

  /** A handle from its serialized form, parents and members included. */
  resultFrom<T = unknown>(tuple: ResultTuple): AsyncResult<T> {
    return resultFrom(this.results, tuple) as AsyncResult<T>;
  }

  /** A group that `save()` stored; undefined when there is none. */
  async restoreGroup<T = unknown>(id: string): Promise<GroupResult<T[]> | undefined> {
    const tuple = await (await this.backend()).loadGroup(id);
    return tuple === undefined ? undefined : (resultFrom(this.results, tuple) as unknown as GroupResult<T[]>);
  }

  /** For signatures: a handle from its serialized form. */
  handle(tuple: ResultTuple): AsyncResult<unknown> {
    return resultFrom(this.results, tuple);
  }

  /**
   * Makes stored failures come back as a class of the application's own, and store under that name.
   * @param name `module.Type` as Python has it; a bare name means `js.errors.<name>`
   */
  registerError(name: string, type: new (...args: never[]) => Error): void {
    const full = name.includes('.') ? name : `js.errors.${name}`;
    this.#errors.set(full, (args) => new type(...(args as never[])));
    this.#errorNames.set(type, full);
  }

  /**
   * Calls `handler` when a signal is emitted.
   * @returns a function that disconnects it
   */
  on<N extends SignalName>(event: N, handler: SignalHandler<N>, options?: SignalOptions): () => void {
    return this.signals.connect(event, handler, options);
  }

  /** The run that the present code belongs to; undefined outside tasks. */
  get currentTask(): TaskRequest | undefined {
    return this.lineage.current?.request;
  }

  /** Variables of the environment that this app reads. */
  get env(): Readonly<Record<string, string | undefined>> {
    return this.#env;
  }

  /**
   * Adds a command that changes something in every worker of this app: `celeriac control NAME`,
   * `app.control.broadcast(NAME, args, { reply: true })`. It answers what `run` returns, or `{ error }` when that throws.
   *
   * @example
   * app.controlCommand('set_level', { args: { level: 'string' } }, (worker, { level }) => ({ ok: level }));
   *
   * Source: `celery.worker.control.control_command`.
   */
  controlCommand<const A extends Readonly<Record<string, CommandArgument>> = Record<never, never>>(
    name: string,
    options: CustomCommandOptions<A>,
    run: RunCommand<A>,
  ): void {
    this.#addCommand('control', name, options, run);
  }

  /** The same for a command that only tells: `celeriac inspect NAME`. Source: `inspect_command`. */
  inspectCommand<const A extends Readonly<Record<string, CommandArgument>> = Record<never, never>>(
    name: string,
    options: CustomCommandOptions<A>,
    run: RunCommand<A>,
  ): void {
    this.#addCommand('inspect', name, options, run);
  }

  #addCommand<A extends Readonly<Record<string, CommandArgument>>>(
    kind: CustomCommand['kind'],
    name: string,
    { args, variadic, help = '' }: CustomCommandOptions<A>,
    run: RunCommand<A>,
  ): void {
    this.commands.add({ kind, name, help, variadic, args: args ?? {}, run: run as CustomCommand['run'] });
  }

  /** Remote control of the workers. */
  get control(): Control {
    this.#control ??= new Control(this);
    return this.#control;
  }

  /**
   * What workers and producers tell, as it comes. `E` names more events than Celery's own.
   *
   * @example
   * for await (const event of app.events()) {
   *   if (event.type === 'task-failed') console.error(event.uuid, event.exception);
   * }
   */
  events<E extends { readonly type: string } = never>(options?: EventStreamOptions): EventStream<CeleryEvent | E> {
    return new EventStream(this, options);
  }

  /** Publishes an event of this process to whoever watches. */
  publishEvent(type: string, fields: Readonly<Record<string, unknown>>): Promise<void> {
    return publishEvent(this, type, fields);
  }

  /** Transport for consuming (`brokerReadUrl`, else `brokerUrl`). Connects to nothing. */
  transport(): Promise<Transport> {
    this.#readTransport ??= this.#openTransport('read').catch((error: unknown) => {
      this.#readTransport = undefined;
      throw error;
    });
    return this.#readTransport;
  }

  /** Transport for publishing (`brokerWriteUrl`, else `brokerUrl`); the same one where the address is. */
  writeTransport(): Promise<Transport> {
    const { conf } = this;
    if (brokerUrls(conf, 'read').join(';') === brokerUrls(conf, 'write').join(';')) return this.transport();
    this.#writeTransport ??= this.#openTransport('write').catch((error: unknown) => {
      this.#writeTransport = undefined;
      throw error;
    });
    return this.#writeTransport;
  }

  async #openTransport(direction: 'read' | 'write'): Promise<Transport> {
    const { broker } = this.#options;
    if (isTransport(broker)) return broker;
    const urls = brokerUrls(this.conf, direction);
    const open = (url: string): Promise<Transport> =>
      openTransport(url, brokerOptions(this.conf, url), this.#driverContext());
    // The nodes of one sentinel group are one address.
    if (urls.length === 1 || urls.every((url) => url.startsWith('sentinel://'))) return open(urls.join(';'));
    return failover(
      await Promise.all(urls.map(open)),
      failoverOrder(urls, this.conf.brokerFailoverStrategy, this.random),
    );
  }

  /** The result backend. Connects to nothing before it is asked something. */
  backend(): Promise<ResultBackend> {
    if (this.#closed) return Promise.reject(new UsageError('the app is closed: results cannot be read any more'));
    this.#backend ??= this.#openBackend().catch((error: unknown) => {
      this.#backend = undefined;
      throw error;
    });
    return this.#backend;
  }

  async #openBackend(): Promise<ResultBackend> {
    const { conf } = this;
    const given = this.#options.backend;
    if (typeof given === 'object') return given;
    const { resultExpires: expires } = conf;
    const url = backendUrl(conf.resultBackend ?? 'disabled://', conf);
    const options = {
      expiresMs: expires ? expires * 1000 : null,
      transportOptions: backendOptions(url, conf),
      codec: resultCodec(this.serializers, conf.resultSerializer, conf.resultAcceptContent ?? conf.acceptContent),
    };
    const backend = await openBackend(url, options, this.#driverContext());
    if (!conf.resultBackendAlwaysRetry) return backend;
    return new RetryingBackend(backend, {
      maxRetries: conf.resultBackendMaxRetries ?? Infinity,
      baseMs: conf.resultBackendBaseSleepBetweenRetriesMs,
      capMs: conf.resultBackendMaxSleepBetweenRetriesMs,
      ...this.#driverContext(),
    });
  }

  #driverContext(): DriverContext {
    return { clock: this.clock, random: this.random, log: this.log };
  }

  /** Loads what is loaded on first use otherwise: the drivers, and the modules of `include` and `imports`. */
  async ready(): Promise<void> {
    const modules = [...(this.conf.imports ?? []), ...(this.conf.include ?? [])];
    for (const module of modules) await importModule(module);
    if (modules.length > 0) await this.signals.emit('importModules', { sender: this.main, modules });
    await this.transport();
    await this.backend();
    await this.signals.emit('afterFinalize', { sender: this.main });
  }

  /**
   * Imports every file that a glob matches, in order of their names, so that their tasks are registered.
   * @returns the files
   */
  async discover(glob: string, options: { readonly cwd?: string } = {}): Promise<string[]> {
    const files = await findFiles(glob, options.cwd ?? process.cwd());
    for (const file of files) await import(pathToFileURL(file).href);
    if (files.length > 0) await this.signals.emit('importModules', { sender: this.main, modules: files });
    return files;
  }

  /** Ends connections and timers. What is on its way to the broker fails. Harmless twice. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#publisher?.close();
    const backend = await this.#backend?.catch(() => undefined);
    if (backend !== undefined && backend !== this.#options.backend) await backend.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #resultSource(): ResultSource {
    return {
      clock: this.clock,
      backend: () => this.backend(),
      toError: (record: ResultRecord) => {
        const error = fromExceptionRecord(record.result, record.traceback, this.#errors);
        if (this.conf.taskRemoteTracebacks && record.traceback !== null) {
          error.stack = `${error.stack ?? error.message}\n\nIn the worker:\n${record.traceback}`;
        }
        return error;
      },
      fromTuple: (tuple) => resultFrom(this.results, tuple),
      refuseInTask: () => {
        const run = this.lineage.current;
        if (run === undefined || run.joinAllowed || run.request.calledDirectly || run.request.isEager) return;
        throw new UsageError(
          'never wait for a result inside a task: it may block the worker for good. ' +
            'Make what follows a chain or callback, or pass allowInTask: true',
        );
      },
      revokeByStamp: async (stamps, { terminate, signal }) => {
        await this.control.revokeByStamp(stamps, {
          ...(terminate === undefined ? {} : { terminate }),
          ...(signal === undefined ? {} : { signal }),
        });
      },
      revoke: async (ids, { terminate, signal }) => {
        await this.control.revoke(ids, {
          ...(terminate === undefined ? {} : { terminate }),
          ...(signal === undefined ? {} : { signal }),
        });
      },
    };
  }
}

function isTransport(value: CeleryOptions['broker']): value is Transport {
  return typeof value === 'object' && 'connect' in value;
}

/** How `configFrom()` reads its source. */
export interface ConfigSource {
  readonly namespace?: string;
  /** @default false */
  readonly silent?: boolean;
}

/** The exports of a settings module: a path relative to the working directory, or a package. */
async function settingsModule(module: string, silent: boolean): Promise<object | undefined> {
  try {
    return await importModule(module);
  } catch (cause) {
    // A module that exists and imports one that does not is broken, not missing.
    const { code, message } = cause as NodeJS.ErrnoException;
    const named = /'(?:file:\/\/)?([^']+)'/.exec(message)?.[1];
    const unknown = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
    const missing = unknown && (named === module || named === resolve(module));
    if (missing && silent) return undefined;
    throw new ImproperlyConfigured(
      missing
        ? `there is no module "${module}" with settings`
        : `the settings of "${module}" could not be loaded: ${message}`,
      { cause },
    );
  }
}

function directRequest(app: Celery, dict: SignatureDict): TaskRequest {
  const id = app.random.uuid();
  const headers = {
    lang: 'js',
    task: dict.task,
    id,
    shadow: null,
    eta: null,
    expires: null,
    group: null,
    group_index: null,
    retries: 0,
    timelimit: [null, null] as const,
    root_id: id,
    parent_id: null,
    argsrepr: '',
    kwargsrepr: '',
    origin: app.origin,
    ignore_result: null,
    replaced_task_nesting: 0,
    stamped_headers: null,
    stamps: {},
  };
  const body = { args: dict.args, kwargs: dict.kwargs, embed: NO_EMBED };
  const deliveryInfo = { exchange: '', routingKey: '', priority: null, redelivered: false };
  return taskRequest(headers, body, { deliveryInfo, calledDirectly: true });
}
