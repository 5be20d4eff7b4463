import type { AsyncResult } from '../result/async-result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { CallOptions } from './call-options.ts';
import type { SkewOptions } from './skew.ts';
import type { StampOptions, StampValues } from './stamp.ts';

/*
 * signature   a call that has not been sent: task, arguments, options
 * open        the arguments a signature still takes; a previous step supplies the first
 * immutable   takes nothing from the step before
 * frozen      has its task id, so that its result can be referred to before it is sent
 */

// ── Argument arithmetic ─────────────────────────────────────────────────────────────────────

/** Every fixed-length form of a parameter list: `[a, b?]` gives `[a] | [a, b]`. */
export type Arities<A extends unknown[], Done extends unknown[] = []> =
  A extends Required<A>
    ? [...Done, ...A]
    : A extends [infer Head, ...infer Tail]
      ? Arities<Tail, [...Done, Head]>
      : A extends [(infer Head)?, ...infer Tail]
        ? Done | Arities<Tail, [...Done, Head]>
        : never;

/** The tails of a tuple, longest first: what `.s(...)` may bind. */
export type Suffix<T extends unknown[]> = T extends [unknown, ...infer Tail] ? T | Suffix<Tail> : T;

/** `T` without as many trailing elements as `Bound` has; `never` when `T` is the shorter one. */
type DropLast<T extends unknown[], Bound extends unknown[]> = number extends T['length']
  ? T
  : Bound extends [unknown, ...infer Rest]
    ? T extends [...infer Init, unknown]
      ? DropLast<Init, Rest>
      : never
    : T;

/** The argument lists still accepted once `Bound` fills the end of `T`; distributes over `T`. */
export type Open<T extends unknown[], Bound extends unknown[]> = T extends unknown[]
  ? DropLast<T, Bound> extends infer Init extends unknown[]
    ? [...Init, ...Bound] extends T
      ? Init
      : never
    : never
  : never;

// ── Signatures ──────────────────────────────────────────────────────────────────────────────

/** What an errback in the style `(request, error, traceback)` is told about the failed call. */
export interface FailedRequest {
  readonly id: string;
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/** Accepted by `linkError`: a task that takes the failed task's id, or one that takes request, error and traceback. */
export type Errback =
  | Signature<[taskId: string], unknown, unknown>
  | Signature<[request: FailedRequest, error: Error, traceback: string | null], unknown, unknown>;

/**
 * A call that has not been sent. Every method returns a copy.
 *
 * @typeParam In argument lists it still accepts. A previous step supplies `[Out]` of that step, so
 *   `in` makes the compiler compare it the way it compares function parameters.
 * @typeParam Out value the task resolves to
 * @typeParam Handle what sending it returns
 */
export interface Signature<in In extends unknown[], out Out, out Handle = AsyncResult<Out>> {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** As on the wire: Celery's names, seconds. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly subtaskType: string | null;
  readonly immutable: boolean;
  /** Set once frozen. A chain's is that of its last step, a group's the group id. */
  readonly id: string | undefined;
  delay(...args: In): Promise<Handle>;
  applyAsync(args: In, options?: CallOptions): Promise<Handle>;
  /** `a.pipe(b)` is Celery's `a | b`; after a group, `b` is the chord body. */
  pipe<Next, H>(next: Signature<[Out], Next, H>): Signature<In, Next, H>;
  /** On success `callback` is called with the result. */
  link(callback: Signature<[Out], unknown, unknown>): Signature<In, Out, Handle>;
  /** On failure `errback` is called. Celery's `link_error` and `on_error`: it returns the copy, so it chains. */
  linkError(errback: Errback): Signature<In, Out, Handle>;
  /** Adds call options; the newest wins. */
  set(options: CallOptions): Signature<In, Out, Handle>;
  /**
   * Writes names and values into this signature and all that are in it; their messages carry them.
   * @example group([add.s(1, 1), add.s(2, 2)]).stamp({ tenant: 'acme' })
   */
  stamp(stamps: StampValues, options?: StampOptions): Signature<In, Out, Handle>;
  /** Only groups: each member runs later than the one before. */
  skew(options?: SkewOptions): Signature<In, Out, Handle>;
  /** This signature, what it calls on success, what that calls, and so on. */
  flattenLinks(): Signature<unknown[], unknown>[];
  clone(): Signature<In, Out, Handle>;
  /** Fixes the task ids, so that the result can be referred to before sending. */
  freeze(taskId?: string): Signature<In, Out, Handle>;
  /** The handle of a frozen signature. Throws when it is not frozen. */
  result(): Handle;
  /** Runs it here and now, in this process: no broker. Chains and groups run their members one after the other. */
  apply(...args: In): Promise<Handle>;
  /** Sends it and waits for its value: Celery's `~signature`. */
  run(...args: In): Promise<Out>;
  /**
   * Lets the workers that gossip choose one among them, which sends it: a command that several nodes hear, run once.
   * Nobody sends it where no worker gossips. Source: `Signature.election`.
   */
  elect(...args: In): Promise<Handle>;
  /** As Celery shows it: `math.add(2, 2) | mul(3)`. */
  toString(): string;
  toJSON(): SignatureDict;
}

export type AnySignature = Signature<never, unknown, unknown>;
export type OutOf<S> = S extends Signature<never, infer Out, unknown> ? Out : never;
export type HandleOf<S> = S extends Signature<never, unknown, infer Handle> ? Handle : never;
export type OutsOf<S extends readonly AnySignature[]> = { -readonly [K in keyof S]: OutOf<S[K]> };

/** Arguments every member accepts: not distributive, so several members intersect. */
export type SharedIn<S extends readonly AnySignature[]> =
  S[number] extends Signature<infer In, unknown, unknown> ? In : never;

/** Rewrites each step to what the step before it demands, so a mismatch is reported on that step. */
export type Linked<Prev, Steps extends AnySignature[]> = Steps extends [
  infer Head,
  ...infer Tail extends AnySignature[],
]
  ? [Signature<[Prev], OutOf<Head>, HandleOf<Head>>, ...Linked<OutOf<Head>, Tail>]
  : [];

export type Last<First, Steps extends AnySignature[]> = Steps extends [...AnySignature[], infer L] ? L : First;
