import { UsageError } from '../errors.ts';
import type { GroupResult } from '../result/async-result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { Call, type CanvasApp } from './call.ts';
import { chordDict, groupDict } from './dict.ts';
import type { AnySignature, HandleOf, Last, Linked, OutOf, OutsOf, SharedIn, Signature } from './types.ts';

/** Signatures that are known one after the other: what a generator gives. */
type Later<S> = Iterable<S> | AsyncIterable<S>;

/**
 * Runs steps one after the other; each receives the result of the one before as its first argument.
 * The chain's id and result are those of its last step.
 *
 * @example
 * await chain(fetchPage.s(url), countWords.s()).delay();
 */
export function chain<First extends AnySignature, Rest extends AnySignature[]>(
  first: First,
  ...rest: Rest extends Linked<OutOf<First>, Rest> ? Rest : Linked<OutOf<First>, Rest>
): Signature<SharedIn<[First]>, OutOf<Last<First, Rest>>, HandleOf<Last<First, Rest>>>;
/** Steps whose number is not known before: each takes what it yields. */
export function chain<Value>(steps: Iterable<Signature<[Value], Value>>): Signature<[Value], Value>;
/** The same from a source that has to be awaited. */
export function chain<Value>(steps: AsyncIterable<Signature<[Value], Value>>): Promise<Signature<[Value], Value>>;
export function chain(first: AnySignature | Later<AnySignature>, ...rest: AnySignature[]): unknown {
  const join = (steps: readonly AnySignature[]): unknown => Call.chained(appOf(steps, 'a chain'), steps);
  if (first instanceof Call || rest.length > 0) return join([first as AnySignature, ...rest]);
  return gathered(first as Later<AnySignature>, join);
}

export interface GroupOptions {
  /**
   * Whether a chain takes a group of one for its member, as Celery does, so that the next step gets a value and not a list of
   * one. `false` where the number of members is not known before and the next step wants a list.
   * @default true
   */
  readonly unroll?: boolean | undefined;
}

/**
 * Runs its members side by side. Takes an array and yields a tuple, like `Promise.all`.
 *
 * @example
 * const values = await (await group([add.s(1, 1), add.s(2, 2)]).delay()).get();
 */
export function group<const S extends readonly AnySignature[]>(
  header: S,
  options?: GroupOptions,
): Signature<SharedIn<S>, OutsOf<S>, GroupResult<OutsOf<S>>>;
/** Members from a generator. `app.streamGroup()` sends them while they come, with bounded memory. */
export function group<S extends AnySignature>(
  header: Iterable<S>,
  options?: GroupOptions,
): Signature<SharedIn<S[]>, OutOf<S>[], GroupResult<OutOf<S>[]>>;
/** The same from a source that has to be awaited. */
export function group<S extends AnySignature>(
  header: AsyncIterable<S>,
  options?: GroupOptions,
): Promise<Signature<SharedIn<S[]>, OutOf<S>[], GroupResult<OutOf<S>[]>>>;
export function group(header: Later<AnySignature>, { unroll = true }: GroupOptions = {}): unknown {
  return gathered(header, (members) => build(members, 'a group', groupDict, !unroll));
}

/** Runs the header's members side by side, then the body with the list of their results. */
export function chord<const S extends readonly AnySignature[], Out, Handle>(
  header: S,
  body: Signature<[OutsOf<S>], Out, Handle>,
): Signature<SharedIn<S>, Out, Handle>;
/** A header from a generator. */
export function chord<S extends AnySignature, Out, Handle>(
  header: Iterable<S>,
  body: Signature<[OutOf<S>[]], Out, Handle>,
): Signature<SharedIn<S[]>, Out, Handle>;
/** The same from a source that has to be awaited. */
export function chord<S extends AnySignature, Out, Handle>(
  header: AsyncIterable<S>,
  body: Signature<[OutOf<S>[]], Out, Handle>,
): Promise<Signature<SharedIn<S[]>, Out, Handle>>;
export function chord(header: Later<AnySignature>, body: AnySignature): unknown {
  return gathered(header, (members) =>
    build([body, ...members], 'a chord', ([last, ...dicts]) => chordDict(dicts, last as SignatureDict)),
  );
}

/** Calls `make` with all signatures: at once, unless the source has to be awaited. */
function gathered(source: Later<AnySignature>, make: (all: readonly AnySignature[]) => unknown): unknown {
  const given: unknown = source;
  const known = typeof given === 'object' && given !== null;
  if (known && Symbol.iterator in source) return make([...source]);
  if (!known || !(Symbol.asyncIterator in source)) {
    throw new UsageError('expected signatures, or an array or generator of them');
  }
  return (async () => {
    const all: AnySignature[] = [];
    for await (const one of source) all.push(one);
    return make(all);
  })();
}

/** @throws {UsageError} when there is none, and when there are several */
function appOf(signatures: readonly AnySignature[], what: string): CanvasApp {
  const [app, ...others] = new Set(signatures.map((signature) => Call.open(signature).app));
  if (app === undefined) throw new UsageError(`${what} needs at least one signature`);
  if (others.length > 0) {
    throw new UsageError(`${what} takes signatures of one app: use app.remoteTask(name) for a task of another`);
  }
  return app;
}

/** The declared types are the contract; inside, every signature is a dict and the app that sends it. */
function build(
  signatures: readonly AnySignature[],
  what: string,
  join: (dicts: readonly SignatureDict[]) => SignatureDict,
  whole: boolean = false,
): unknown {
  const app = appOf(signatures, what);
  const dict = join(signatures.map((signature) => Call.open(signature).dict));
  return new Call(app, dict, undefined, whole ? new Set([dict]) : undefined);
}
