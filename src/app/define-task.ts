import { Cancellation } from '../runtime/cancellation.ts';
import { Call, sendLimits } from '../canvas/call.ts';
import type { CallOptions } from '../canvas/call-options.ts';
import { callDict, NO_KWARGS } from '../canvas/dict.ts';
import { chunksDict, mapDict, starmapDict } from '../canvas/many.ts';
import { wireOptions, type WireOptions } from '../canvas/wire-options.ts';
import { ArgumentsError, ImproperlyConfigured } from '../errors.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { argsRepr, kwargsRepr } from '../protocol/safe-repr.ts';
import type { AsyncResult } from '../result/async-result.ts';
import type { EagerResult } from '../result/eager-result.ts';
import { arityOf, checkArity } from './arguments.ts';
import type { Celery } from './celery.ts';
import { applyTask } from './eager.ts';
import { NO_EMBED, taskRequest } from './request.ts';
import { annotationsFor } from './annotations.ts';
import type { Config } from './config.ts';
import { checkTaskOptions, resolveTaskOptions, type AnyTaskOptions } from './resolve-options.ts';
import type { Arity, DefineTask, Handler, RegisteredTask } from './task.ts';
import type { ResolvedTaskOptions, TaskOptions } from './task-options.ts';
import { execute } from './trace.ts';

/** Options of a definition that its messages carry. */
export function messageDefaults(options: TaskOptions, ignoreResult: boolean): WireOptions {
  const { queue, exchange, routingKey, priority, expires, serializer, compression } = options;
  const { deliveryMode, mandatory, timeLimit, softTimeLimit, retryPolicy } = options;
  const given = { queue, exchange, routingKey, priority, expires, serializer, compression };
  const more = { deliveryMode, mandatory, timeLimit, softTimeLimit, retryPolicy };
  const all = Object.fromEntries(Object.entries({ ...given, ...more }).filter(([, value]) => value !== undefined));
  return wireOptions({ ...all, ...(ignoreResult ? { ignoreResult } : {}) });
}

/**
 * A task as the registry keeps it. What it leaves open comes from the settings, so its options are worked out when
 * they are first asked for, and again after the settings changed.
 */
export class Definition implements RegisteredTask {
  readonly name: string;
  readonly handler: Handler;
  readonly bind: boolean;
  readonly arity: Arity;
  readonly #app: Celery;
  readonly #given: AnyTaskOptions;
  #conf: Config | undefined;
  #options: ResolvedTaskOptions | undefined;
  #defaults: WireOptions | undefined;

  constructor(app: Celery, name: string, options: AnyTaskOptions, handler: Handler) {
    if (typeof name !== 'string' || name === '') {
      throw new ImproperlyConfigured('a task needs a name: it is the contract on the wire');
    }
    if (typeof handler !== 'function') {
      throw new ImproperlyConfigured(`task "${name}": expected a function as handler, got ${typeof handler}`);
    }
    this.#app = app;
    this.#given = options;
    this.name = name;
    this.handler = handler;
    this.bind = options.bind === true;
    this.arity = arityOf(handler, this.bind, options.args !== undefined);
  }

  get options(): ResolvedTaskOptions {
    const { conf } = this.#app;
    if (this.#options === undefined || this.#conf !== conf) {
      const annotated = annotationsFor(conf.taskAnnotations as Parameters<typeof annotationsFor>[0], this.name);
      const options = { ...this.#given, ...annotated };
      this.#options = resolveTaskOptions(this.name, options, conf);
      const defaults = messageDefaults(options, this.#options.ignoreResult);
      this.#defaults = Object.keys(defaults).length === 0 ? undefined : defaults;
      this.#conf = conf;
    }
    return this.#options;
  }

  /** Options that its messages have where the call says nothing; undefined when there are none. */
  get messageDefaults(): WireOptions | undefined {
    void this.options;
    return this.#defaults;
  }
}

/** What callers hold of a task that runs elsewhere. Its types are declared in `task.ts`. */
export class RemoteTaskHandle {
  readonly name: string;
  protected readonly app: Celery;
  /** Written into signatures and calls: nobody who sends them need know the task. Undefined when there are none. */
  readonly #more: { readonly options: WireOptions } | undefined;

  constructor(app: Celery, name: string, options?: WireOptions) {
    this.app = app;
    this.name = name;
    this.#more = options === undefined ? undefined : { options };
  }

  /** Not async: the sender's own promise is handed on, one less for each message. */
  delay(...args: unknown[]): Promise<AsyncResult<unknown>> {
    try {
      this.check(args.length);
      return this.app.sender.send(callDict(this.name, args, this.#more));
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  async applyAsync(args: readonly unknown[], options?: CallOptions): Promise<AsyncResult<unknown>> {
    const kwargs = options?.kwargs;
    const dict = this.call(args, kwargs);
    const own = this.#more === undefined ? dict : { ...dict, ...this.#more };
    return this.app.sender.send(own, wireOptions(options), sendLimits(options));
  }

  s(...bound: unknown[]): Call {
    return new Call(this.app, this.#dict(bound, false));
  }

  si(...args: unknown[]): Call {
    return new Call(this.app, this.#dict(args, true));
  }

  map(items: readonly unknown[]): Call {
    return new Call(this.app, mapDict(this.#dict([], false), items, this.defaults()));
  }

  starmap(argLists: readonly (readonly unknown[])[]): Call {
    return new Call(this.app, starmapDict(this.#dict([], false), argLists, this.defaults()));
  }

  chunks(argLists: readonly (readonly unknown[])[], size: number): Call {
    if (!Number.isInteger(size) || size < 1)
      throw new ArgumentsError(`chunks: expected a size of 1 or more, got ${size}`);
    return new Call(this.app, chunksDict(this.#dict([], false), argLists, size, this.defaults()));
  }

  /** A complete call; keywords switch the check of positions off. */
  protected call(args: readonly unknown[], kwargs: Readonly<Record<string, unknown>> | undefined): SignatureDict {
    if (!Array.isArray(args))
      throw new ArgumentsError(`${this.name}: expected the arguments as an array, got ${typeof args}`);
    if (kwargs === undefined) this.check(args.length);
    return callDict(this.name, args, { kwargs: kwargs ?? NO_KWARGS });
  }

  /** Options that its messages have where nobody says otherwise, and that signatures do not carry. */
  protected defaults(): WireOptions | undefined {
    return undefined;
  }

  /** A task that runs elsewhere checks its own arguments. */
  protected check(_given: number): void {}

  #dict(args: readonly unknown[], immutable: boolean): SignatureDict {
    return callDict(this.name, args, { immutable, ...this.#more });
  }
}

/** What callers hold of a task that is defined here. */
export class TaskHandle extends RemoteTaskHandle {
  readonly #task: Definition;

  constructor(app: Celery, task: Definition) {
    super(app, task.name);
    this.#task = task;
  }

  async run(...args: unknown[]): Promise<unknown> {
    const { app } = this;
    const request = taskRequest(
      directHeaders(app, this.name, args),
      { args, kwargs: {}, embed: NO_EMBED },
      {
        deliveryInfo: { exchange: '', routingKey: '', priority: null, redelivered: false },
        calledDirectly: true,
      },
    );
    return execute(app, this.#task, request, new Cancellation());
  }

  async apply(args: readonly unknown[], options?: CallOptions): Promise<EagerResult<unknown>> {
    return applyTask(this.app, this.#task, { ...this.call(args, options?.kwargs), options: wireOptions(options) });
  }

  protected override defaults(): WireOptions | undefined {
    return this.#task.messageDefaults;
  }

  protected override check(given: number): void {
    if (this.#task.options.strictTyping) checkArity(this.name, this.#task.arity, given);
  }
}

function directHeaders(app: Celery, task: string, args: readonly unknown[]): Parameters<typeof taskRequest>[0] {
  const id = app.random.uuid();
  return {
    lang: 'js',
    task,
    id,
    shadow: null,
    eta: null,
    expires: null,
    group: null,
    group_index: null,
    retries: 0,
    timelimit: [null, null],
    root_id: id,
    parent_id: null,
    argsrepr: argsRepr(args),
    kwargsrepr: kwargsRepr({}),
    origin: app.origin,
    ignore_result: null,
    replaced_task_nesting: 0,
    stamped_headers: null,
    stamps: {},
  };
}

/** Splits `task(name, handler)` and `task(name, options, handler)`. */
function definition(name: string, rest: readonly unknown[]): { options: AnyTaskOptions; handler: Handler } {
  const [options, handler] = rest.length === 1 ? [{}, rest[0]] : rest;
  if (typeof options !== 'object' || options === null) {
    throw new ImproperlyConfigured(`task "${name}": expected options as an object, got ${typeof options}`);
  }
  checkTaskOptions(name, options);
  return { options: options as AnyTaskOptions, handler: handler as Handler };
}

/** `app.task`: splits the arguments, fills in the base options, and hands the rest to `define`. */
export function defineTask(
  define: (name: string, options: AnyTaskOptions, handler: Handler) => unknown,
  base: TaskOptions = {},
): DefineTask {
  const task = (name: string, ...rest: unknown[]): unknown => {
    const { options, handler } = definition(name, rest);
    const hooks = { ...base.hooks, ...options.hooks };
    return define(name, { ...base, ...options, ...(Object.keys(hooks).length === 0 ? {} : { hooks }) }, handler);
  };
  const extend = (more: TaskOptions): DefineTask => {
    checkTaskOptions('(base)', more);
    return defineTask(define, { ...base, ...more, hooks: { ...base.hooks, ...more.hooks } });
  };
  return Object.assign(task, { extend }) as DefineTask;
}
