import { UsageError } from '../errors.ts';
import type { GroupResult } from '../result/async-result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { Call, type CanvasApp } from './call.ts';
import { chainDict, chordDict, groupDict } from './dict.ts';
import type { AnySignature, HandleOf, Last, Linked, OutOf, OutsOf, SharedIn, Signature } from './types.ts';

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
): Signature<SharedIn<[First]>, OutOf<Last<First, Rest>>, HandleOf<Last<First, Rest>>> {
  return build([first, ...(rest as AnySignature[])], 'a chain', chainDict);
}

/**
 * Runs its members side by side. Takes an array and yields a tuple, like `Promise.all`.
 *
 * @example
 * const values = await (await group([add.s(1, 1), add.s(2, 2)]).delay()).get();
 */
export function group<const S extends readonly AnySignature[]>(
  header: S,
): Signature<SharedIn<S>, OutsOf<S>, GroupResult<OutsOf<S>>> {
  return build(header, 'a group', groupDict);
}

/** Runs the header's members side by side, then the body with the list of their results. */
export function chord<const S extends readonly AnySignature[], Out, Handle>(
  header: S,
  body: Signature<[OutsOf<S>], Out, Handle>,
): Signature<SharedIn<S>, Out, Handle> {
  return build([body, ...header], 'a chord', ([last, ...members]) => chordDict(members, last as SignatureDict));
}

/** The declared types are the contract; inside, every signature is a dict and the app that sends it. */
function build<S>(
  signatures: readonly AnySignature[],
  what: string,
  join: (dicts: readonly SignatureDict[]) => SignatureDict,
): S {
  const [first, ...rest] = signatures.map((signature) => Call.open(signature));
  if (first === undefined) throw new UsageError(`${what} needs at least one signature`);
  const app: CanvasApp = first.app;
  if (rest.some((one) => one.app !== app)) {
    throw new UsageError(`${what} takes signatures of one app: use app.remoteTask(name) for a task of another`);
  }
  return new Call(app, join([first.dict, ...rest.map((one) => one.dict)])) as unknown as S;
}
