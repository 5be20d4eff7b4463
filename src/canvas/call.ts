import { UsageError } from '../errors.ts';
import type { AsyncResult } from '../result/async-result.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { Entity } from '../messaging/entity.ts';
import { durationMs } from '../runtime/duration.ts';
import { chainDict, withArgs, withOptions } from './dict.ts';
import { freeze, idOf } from './freeze.ts';
import { errorLinked, linked } from './links.ts';
import type { CallOptions } from './call-options.ts';
import { signatureRepr } from './repr.ts';
import { stampDict, type StampOptions, type StampValues } from './stamp.ts';
import { flatLinks, skewed, type SkewOptions } from './skew.ts';
import type { AnySignature, Errback } from './types.ts';
import { wireOptions, type WireOptions } from './wire-options.ts';

/** What signatures need of the app that sends them. */
export interface CanvasApp {
  /** Written as `reply_to` when freezing. */
  readonly oid: string;
  readonly random: { uuid(): string };
  /** Publishes a signature whose arguments are complete. */
  sendSignature(dict: SignatureDict, options: WireOptions, limits: SendLimits): Promise<AsyncResult<unknown>>;
  /** Runs a signature in this process. */
  applySignature(dict: SignatureDict): Promise<AsyncResult<unknown>>;
  /** Lets the workers choose one among them that sends a frozen signature. */
  electSignature(id: string, dict: SignatureDict): Promise<void>;
  handle(tuple: ResultTuple): AsyncResult<unknown>;
}

export interface SendLimits {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  readonly declare?: readonly Entity[] | undefined;
  /** See `PublishOptions.once`; by the task's id. */
  readonly once?: boolean | undefined;
}

/** Limits of a publish among the call options. */
export function sendLimits(options: CallOptions | undefined): SendLimits {
  if (options === undefined) return {};
  const { signal, publishTimeout, declare } = options;
  if (signal === undefined && publishTimeout === undefined && declare === undefined) return {};
  return { signal, declare, timeoutMs: publishTimeout === undefined ? undefined : durationMs(publishTimeout) };
}

const NONE: ReadonlySet<SignatureDict> = new Set();

/**
 * The one implementation of `Signature`: a dict and the app that would send it. What its types promise is
 * declared in `types.ts`; in here every argument and result is unknown.
 */
export class Call {
  readonly #app: CanvasApp;
  readonly #dict: SignatureDict;
  /** Set once frozen. */
  readonly #result: ResultTuple | undefined;
  /** Groups in it that a chain does not unroll. */
  readonly #whole: ReadonlySet<SignatureDict>;

  constructor(app: CanvasApp, dict: SignatureDict, result?: ResultTuple, whole: ReadonlySet<SignatureDict> = NONE) {
    this.#app = app;
    this.#dict = dict;
    this.#result = result;
    this.#whole = whole;
  }

  /** The app and dict behind any signature. */
  static open(signature: AnySignature): {
    readonly app: CanvasApp;
    readonly dict: SignatureDict;
    readonly whole: ReadonlySet<SignatureDict>;
  } {
    if (!(signature instanceof Call)) {
      throw new UsageError('expected a signature, as task.s(…), chain(…) or app.signature(…) make them');
    }
    const call: Call = signature;
    return { app: call.#app, dict: call.#dict, whole: call.#whole };
  }

  /** Steps one after the other. */
  static chained(app: CanvasApp, steps: readonly AnySignature[]): Call {
    const opened = steps.map((step) => Call.open(step));
    const dicts = opened.map(({ dict }) => dict);
    const whole = new Set(opened.flatMap((one) => [...one.whole]));
    return new Call(app, chainDict(dicts, whole), undefined, whole);
  }

  get task(): string {
    return this.#dict.task;
  }
  get args(): readonly unknown[] {
    return this.#dict.args;
  }
  get kwargs(): Readonly<Record<string, unknown>> {
    return this.#dict.kwargs;
  }
  get options(): WireOptions {
    return this.#dict.options;
  }
  get subtaskType(): string | null {
    return this.#dict.subtask_type;
  }
  get immutable(): boolean {
    return this.#dict.immutable;
  }
  get id(): string | undefined {
    return this.#result === undefined ? undefined : idOf(this.#result);
  }

  delay(...args: unknown[]): Promise<unknown> {
    return this.#app.sendSignature(withArgs(this.#dict, args), {}, {});
  }

  async applyAsync(args: readonly unknown[] = [], options?: CallOptions): Promise<unknown> {
    const dict = withArgs(this.#dict, args, options?.kwargs);
    return this.#app.sendSignature(dict, wireOptions(options), sendLimits(options));
  }

  apply(...args: unknown[]): Promise<unknown> {
    return this.#app.applySignature(withArgs(this.#dict, args));
  }

  async run(...args: unknown[]): Promise<unknown> {
    const handle = await this.#app.sendSignature(withArgs(this.#dict, args), {}, {});
    return handle.get();
  }

  async elect(...args: unknown[]): Promise<unknown> {
    const ids = { uuid: () => this.#app.random.uuid(), oid: this.#app.oid };
    const { dict, result } = freeze(withArgs(this.#dict, args), ids);
    await this.#app.electSignature(idOf(result), dict);
    return this.#app.handle(result);
  }

  pipe(next: AnySignature): Call {
    return Call.chained(this.#app, [this as unknown as AnySignature, next]);
  }

  link(callback: AnySignature): Call {
    return this.#with(linked(this.#dict, Call.open(callback).dict));
  }

  linkError(errback: Errback): Call {
    return this.#with(errorLinked(this.#dict, Call.open(errback as AnySignature).dict));
  }

  set(options: CallOptions): Call {
    return this.#with(withOptions(this.#dict, wireOptions(options)));
  }

  stamp(stamps: StampValues, options?: StampOptions): Call {
    return this.#with(stampDict(this.#dict, { ...options, stamps }));
  }

  skew(options: SkewOptions = {}): Call {
    return this.#with(skewed(this.#dict, options));
  }

  flattenLinks(): Call[] {
    return flatLinks(this.#dict).map((dict) => new Call(this.#app, dict));
  }

  clone(): Call {
    return this.#with(this.#dict);
  }

  freeze(taskId?: string): Call {
    const ids = { uuid: () => this.#app.random.uuid(), oid: this.#app.oid };
    const { dict, result } = freeze(this.#dict, ids, { taskId });
    return new Call(this.#app, dict, result);
  }

  result(): unknown {
    if (this.#result !== undefined) return this.#app.handle(this.#result);
    throw new UsageError('the signature is not frozen: call freeze() first, and send what it returns');
  }

  toString(): string {
    return signatureRepr(this.#dict);
  }

  toJSON(): SignatureDict {
    return this.#dict;
  }

  #with(dict: SignatureDict): Call {
    const whole = this.#whole.has(this.#dict) ? new Set([dict]) : this.#whole;
    return new Call(this.#app, dict, this.#result, whole);
  }
}

/** The dict behind a signature, as it travels. */
export function signatureOf(signature: AnySignature): SignatureDict {
  return Call.open(signature).dict;
}
