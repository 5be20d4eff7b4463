import { hostname } from 'node:os';
import { pathToFileURL } from 'node:url';
import type { ResultBackend } from '../backends/backend.ts';
import type { CallOptions } from '../canvas/call-options.ts';
import { Call, sendLimits, type SendLimits } from '../canvas/call.ts';
import { asDict, callDict } from '../canvas/dict.ts';
import type { CanvasPlan } from '../canvas/outline.ts';
import type { AnySignature, Signature } from '../canvas/types.ts';
import { wireOptions, type WireOptions } from '../canvas/wire-options.ts';
import { ImproperlyConfigured, UsageError } from '../errors.ts';
import type { CeleryEvent } from '../protocol/event-types.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { AsyncResult, GroupResult } from '../result/async-result.ts';
import { resultFrom } from '../result/result-from.ts';
import type { ResultSource } from '../result/source.ts';
import { TaskResult } from '../result/task-result.ts';
import { systemClock, type Clock } from '../runtime/clock.ts';
import { LogRelay } from '../runtime/log-relay.ts';
import type { Logger } from '../runtime/logger.ts';
import { systemRandom, type Random } from '../runtime/random.ts';
import type { Schedule } from '../schedules/schedule.ts';
import { createSerializers, type SerializerRegistry } from '../serializers/registry.ts';
import type { Transport } from '../transports/transport.ts';
import { Batch } from './batch.ts';
import { builtinTasks } from './builtins.ts';
import { planOf } from './canvas-plan.ts';
import type { CeleryOptions } from './celery-options.ts';
import { DeadLetters } from './dead-letters.ts';
import { findConfigFile, importModule } from './config-file.ts';
import { settingsModule, type ConfigSource } from './config-source.ts';
import type { Config, ConfigInput } from './config.ts';
import { Connections, isTransport } from './connections.ts';
import { Control } from './control.ts';
import {
  CustomCommands,
  type CommandArgument,
  type CustomCommand,
  type CustomCommandOptions,
  type RunCommand,
} from './custom-commands.ts';
import { defineTask, Definition, messageDefaults, RemoteTaskHandle, TaskHandle } from './define-task.ts';
import { callDirectly } from './direct-call.ts';
import { findFiles } from './discover.ts';
import { publishEvent } from './event-sender.ts';
import { EventStream, type EventStreamOptions } from './event-stream.ts';
import { Lamport } from './lamport.ts';
import { Settings } from './layered-settings.ts';
import { Lineage } from './lineage.ts';
import { moveTasks, type MovedTasks, type MoveTasksOptions } from './move-tasks.ts';
import { periodicCall, type PeriodicArguments, type PeriodicOptions } from './periodic-call.ts';
import { PeriodicTable } from './periodic.ts';
import { Publisher } from './publisher.ts';
import { QueueTable } from './queues.ts';
import { TaskRegistry } from './registry.ts';
import type { TaskRequest } from './request.ts';
import type { AnyTaskOptions } from './resolve-options.ts';
import { resultSource } from './result-source.ts';
import { Sender } from './sender.ts';
import { Steps } from './steps.ts';
import { SignalHub, type SignalHandler, type SignalName, type SignalOptions } from './signals.ts';
import { streamGroup, type StreamedGroup, type StreamOptions } from './stream-group.ts';
import type { TaskOptions } from './task-options.ts';
import { UserOptions } from './user-options.ts';
import { warnOfUnread } from './unread-settings.ts';
import type { DefineTask, Handler, TaskOf } from './task.ts';

export type { CeleryOptions } from './celery-options.ts';

const brand: unique symbol = Symbol.for('celeriac.app');

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

  /** What workers of this app do besides their own duties. */
  readonly steps: Steps = new Steps();
  /** Options that this app adds to the command line. */
  readonly userOptions: UserOptions = new UserOptions();
  /** What beat sends besides the setting `beatSchedule`, by name. */
  readonly periodicTasks: PeriodicTable = new PeriodicTable();

  readonly #connections: Connections;
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
  #closed = false;

  constructor(options: CeleryOptions = {}) {
    const { main, broker, backend, clock, random, log, env, ...settings } = options;
    this.#connections = new Connections(this, {
      ...(broker === undefined ? {} : { broker }),
      ...(backend === undefined ? {} : { backend }),
    });
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
    this.results = resultSource(this, this.#errors);
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
   * @param name left out: the call's text as Celery writes it, `math.add(2, 3)`
   * @param signature or a function that makes one for each run
   * @param options of each run; Celery's `expires` counts from the moment of sending
   * @example
   * app.addPeriodicTask('nightly', crontab({ hour: 3, minute: 0, timezone: 'Europe/Paris' }), add.s(2, 3));
   * app.addPeriodicTask('sync', every('1m'), () => sync.s(Date.now()), { overlap: 'skip', jitter: '10s' });
   */
  addPeriodicTask<Out, Handle>(
    name: string,
    schedule: Schedule,
    signature: Signature<[], Out, Handle> | (() => Signature<[], Out, Handle>),
    options?: PeriodicOptions,
  ): void;
  addPeriodicTask<Out, Handle>(
    schedule: Schedule,
    signature: Signature<[], Out, Handle>,
    options?: PeriodicOptions,
  ): void;
  addPeriodicTask(...given: unknown[]): void {
    const task = periodicCall(...(given as unknown as PeriodicArguments));
    this.periodicTasks.set(task.name, task);
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
    if (!this.#queues && !this.#publisher && !this.#connections.used) return;
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

  /** For signatures: runs one in this process. */
  applySignature(dict: SignatureDict): Promise<AsyncResult<unknown>> {
    return this.sender.apply(dict);
  }

  /** For signatures: the workers choose one among them that sends it. */
  async electSignature(id: string, dict: SignatureDict): Promise<void> {
    await this.control.election(id, 'task', dict);
  }

  /** Calls a registered task's body here, like a function. */
  call(dict: SignatureDict): Promise<unknown> {
    return callDirectly(this, dict);
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
   * Moves tasks that wait: to another queue, or to another broker. Each is taken away after its new place owns it: a kill
   * on the way may leave one on both sides, never on neither.
   *
   * @example
   * await app.moveTasks({ tasks: ['video.encode'], to: 'slow' });
   * await app.moveTasks({ queues: ['mail'], to: ({ queue }) => queue, destination: appOnTheNewBroker });
   *
   * Source: celery.contrib.migrate.
   */
  moveTasks(options: MoveTasksOptions): Promise<MovedTasks> {
    return moveTasks(this, options);
  }

  /** Messages that killed their workers too often: see them, run them again, drop them. */
  get deadLetters(): DeadLetters {
    return new DeadLetters(this);
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
    return this.#connections.transport();
  }

  /** Transport for publishing (`brokerWriteUrl`, else `brokerUrl`); the same one where the address is. */
  writeTransport(): Promise<Transport> {
    return this.#connections.writeTransport();
  }

  /** The result backend. Connects to nothing before it is asked something. */
  backend(): Promise<ResultBackend> {
    return this.#connections.backend();
  }

  /** Loads what is loaded on first use otherwise: the drivers, and the modules of `include` and `imports`. */
  async ready(): Promise<void> {
    const modules = [...(this.conf.imports ?? []), ...(this.conf.include ?? [])];
    for (const module of modules) await importModule(module);
    if (modules.length > 0) await this.signals.emit('importModules', { sender: this.main, modules });
    await this.transport();
    await this.backend();
    warnOfUnread(this.conf, this.log);
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
    await this.#connections.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
