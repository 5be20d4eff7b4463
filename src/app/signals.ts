import type { Message } from '../protocol/message.ts';
import type { SignatureDict, TaskHeaders } from '../protocol/task-message.ts';
import type { ExceptionRecord } from '../protocol/exception.ts';
import type { Logger, LogLevel } from '../runtime/logger.ts';
import type { Config } from './config.ts';
import type { TaskRequest } from './request.ts';
import type { RegisteredTask } from './task.ts';

/*
 * signal    something that happened, named as in Celery (`task_prerun` is `taskPrerun`)
 * sender    what handlers may filter by: the task's name for task signals, the node name for worker signals
 * handler   user code; its errors are logged and never reach the task or the worker
 */

/** A task message about to be published; handlers may change headers, args, kwargs and properties in place. */
export interface BeforePublish {
  readonly sender: string;
  readonly headers: Record<string, unknown>;
  readonly args: unknown[];
  readonly kwargs: Record<string, unknown>;
  readonly properties: Record<string, unknown>;
  readonly exchange: string;
  readonly routingKey: string;
}

export interface AfterPublish {
  readonly sender: string;
  readonly headers: Readonly<TaskHeaders>;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly exchange: string;
  readonly routingKey: string;
}

/** A task of this process, as most task signals describe it. */
export interface TaskEvent {
  readonly sender: string;
  readonly taskId: string;
  readonly task: RegisteredTask;
  readonly request: TaskRequest;
}

export interface TaskFailureEvent extends TaskEvent {
  readonly error: unknown;
  readonly record: ExceptionRecord;
  readonly traceback: string | null;
}

export interface WorkerEvent {
  /** Node name. */
  readonly sender: string;
  /** The `Worker`. */
  readonly worker: object;
}

export interface ProcessEvent {
  /** Node name of the worker. */
  readonly sender: string;
  readonly pid: number;
}

/** How `celeriac worker` logs. */
export interface LoggingEvent {
  /** Node name. */
  readonly sender: string;
  readonly loglevel: LogLevel;
  /** null: stderr. */
  readonly logfile: string | null;
  readonly colorize: boolean;
}

/** A beat, by itself or in a worker. */
export interface BeatEvent {
  /** `beat`, or the worker's node name. */
  readonly sender: string;
  /** The `Beat`. */
  readonly beat: object;
  /** The command line's options, those of `app.userOptions` among them. Empty without it. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** Every signal with its payload. */
export interface Signals {
  beforePublish: BeforePublish;
  afterPublish: AfterPublish;
  /** The broker did not take the message; `headers` are those of `beforePublish`. */
  publishFailed: { readonly sender: string; readonly headers: Readonly<TaskHeaders>; readonly error: unknown };
  /** The body has not been decoded yet, except in protocol 1: `argsrepr` and `kwargsrepr` have its text. */
  taskReceived: { readonly sender: string; readonly request: TaskRequest };
  taskPrerun: TaskEvent;
  taskPostrun: TaskEvent & { readonly state: string; readonly retval: unknown };
  taskSuccess: TaskEvent & { readonly result: unknown };
  taskFailure: TaskFailureEvent;
  taskRetry: TaskEvent & { readonly reason: unknown; readonly traceback: string | null };
  taskRevoked: {
    readonly sender: string;
    readonly request: TaskRequest;
    readonly terminated: boolean;
    readonly signum: number | null;
    readonly expired: boolean;
  };
  /** Something failed outside the task's body: backend down, callback not publishable. */
  taskInternalError: {
    readonly sender: string;
    readonly taskId: string;
    readonly request: TaskRequest;
    readonly error: unknown;
  };
  taskUnknown: { readonly sender: string; readonly name: string; readonly id: string; readonly message: Message };
  taskRejected: { readonly sender: string; readonly message: Message; readonly error: unknown };
  /** Before a worker reads its settings; the place for settings of one host. */
  celerydInit: WorkerEvent & { readonly conf: Config };
  /** Its queues are chosen: the place to add one (`app.queues.selectAdd`). */
  celerydAfterSetup: WorkerEvent & { readonly conf: Config };
  workerInit: WorkerEvent;
  workerReady: WorkerEvent;
  workerShuttingDown: WorkerEvent & { readonly how: 'warm' | 'soft' | 'cold'; readonly reason: string };
  workerShutdown: WorkerEvent;
  /** In the worker, before a pool starts a child. */
  workerBeforeCreateProcess: { readonly sender: string };
  /** In a child of a pool, once it has loaded the app. */
  workerProcessInit: ProcessEvent;
  /** In a child of a pool that leaves in good order. */
  workerProcessShutdown: ProcessEvent & { readonly exitCode: number };
  heartbeatSent: { readonly sender: string };
  /**
   * `celeriac worker` is about to set its log up. With a handler it does not: the handler gives the app a logger with
   * `attach`, else nothing is printed.
   */
  setupLogging: LoggingEvent & { readonly attach: (log: Logger) => void };
  /** The worker's own logger is set up. */
  afterSetupLogger: LoggingEvent & { readonly logger: Logger };
  /** The logger of tasks is set up: the same one. */
  afterSetupTaskLogger: LoggingEvent & { readonly logger: Logger };
  /** `celeriac beat` is about to start. */
  beatInit: BeatEvent;
  /** The beat of `celeriac worker --beat` is about to start, after `beatInit`. */
  beatEmbeddedInit: BeatEvent;
  /** A command begins whose app has options of its own for all commands; `options` has them under camelCase names. */
  userPreloadOptions: { readonly sender: string; readonly options: Readonly<Record<string, unknown>> };
  afterConfigure: { readonly sender: string };
  afterFinalize: { readonly sender: string };
  importModules: { readonly sender: string; readonly modules: readonly string[] };
  /** A callback, errback or chain step was sent on behalf of a finished task. */
  followUpSent: { readonly sender: string; readonly signature: SignatureDict };
}

export type SignalName = keyof Signals;
export type SignalHandler<N extends SignalName> = (payload: Signals[N]) => unknown;

export interface SignalOptions {
  /** Only payloads with this sender. */
  readonly sender?: string;
  /** Removes the handler after its first call. */
  readonly once?: boolean;
  /** Connecting another handler with the same id replaces the first (Celery's `dispatch_uid`). */
  readonly id?: string;
}

interface Receiver {
  readonly handler: (payload: never) => unknown;
  readonly options: SignalOptions;
}

/** Where handlers meet what happens. Nobody listening costs one map look-up. */
export class SignalHub {
  readonly #receivers = new Map<SignalName, readonly Receiver[]>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Whether a payload is worth building. */
  has(name: SignalName): boolean {
    return this.#receivers.has(name);
  }

  /** @returns a function that disconnects the handler; harmless twice */
  connect<N extends SignalName>(name: N, handler: SignalHandler<N>, options: SignalOptions = {}): () => void {
    const receiver: Receiver = { handler, options };
    const others = (this.#receivers.get(name) ?? []).filter(
      (other) => options.id === undefined || other.options.id !== options.id,
    );
    this.#receivers.set(name, [...others, receiver]);
    return () => this.#remove(name, receiver);
  }

  /** Calls the handlers in the order they were connected. Never throws, never rejects. */
  emit<N extends SignalName>(name: N, payload: Signals[N]): void | Promise<void> {
    const receivers = this.#receivers.get(name);
    return receivers === undefined ? undefined : this.#deliver(name, receivers, payload);
  }

  async #deliver<N extends SignalName>(name: N, receivers: readonly Receiver[], payload: Signals[N]): Promise<void> {
    for (const receiver of receivers) {
      const { sender, once } = receiver.options;
      if (sender !== undefined && sender !== payload.sender) continue;
      if (once) this.#remove(name, receiver);
      try {
        await (receiver.handler as SignalHandler<N>)(payload);
      } catch (error) {
        this.#log.error({ signal: name, sender: payload.sender, error }, 'signal handler failed');
      }
    }
  }

  #remove(name: SignalName, receiver: Receiver): void {
    const left = (this.#receivers.get(name) ?? []).filter((other) => other !== receiver);
    if (left.length === 0) this.#receivers.delete(name);
    else this.#receivers.set(name, left);
  }
}
