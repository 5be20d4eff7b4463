import type { AnySignature } from '../canvas/types.ts';
import { Call } from '../canvas/call.ts';
import { freeze, idOf } from '../canvas/freeze.ts';
import { chordSize, withChord } from '../canvas/leaves.ts';
import { withArgs } from '../canvas/dict.ts';
import { NotSupported } from '../errors.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { AsyncResult } from '../result/async-result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { Celery } from './celery.ts';

export interface StreamOptions {
  /** Called with the list of all results once every member has ended. */
  readonly body?: AnySignature;
  /** Keep the members' handles. Without them the memory does not grow with the number of members. @default no body given */
  readonly keepResults?: boolean;
  /** Members that are on their way to the broker at a time. @default 512 */
  readonly window?: number;
  readonly signal?: AbortSignal;
}

/** A group that was sent from a generator. */
export interface StreamedGroup {
  readonly id: string;
  /** How many members were sent. */
  readonly size: number;
  /** Handles of the members; undefined where they were not kept. */
  readonly results: readonly AsyncResult<unknown>[] | undefined;
  /** Handle of the body, where there is one. */
  readonly body: AsyncResult<unknown> | undefined;
}

/**
 * Sends members while they are generated, a window of them at a time. One member is held back, so that the size of the
 * header is known before the last one can end. Source: `group._apply_tasks` with a generator.
 */
export async function streamGroup(
  app: Celery,
  members: Iterable<AnySignature> | AsyncIterable<AnySignature>,
  options: StreamOptions = {},
): Promise<StreamedGroup> {
  const { body, keepResults = body === undefined, window = 512, signal } = options;
  const id = app.random.uuid();
  const ids = { uuid: () => app.random.uuid(), oid: app.oid };
  const chords = body === undefined ? undefined : (await app.backend()).chords;
  if (body !== undefined && chords === undefined) {
    throw new NotSupported(
      'a streamed group can have a body only where the result backend counts members: make it a chord of an array',
    );
  }
  const place = { id, index: undefined, named: true };
  const frozenBody = body === undefined ? undefined : freeze(Call.open(body).dict, ids, { group: place });
  const kept: ResultTuple[] | undefined = keepResults ? [] : undefined;
  const inFlight = new Set<Promise<unknown>>();
  let failure: { readonly error: unknown } | undefined;
  let held: SignatureDict | undefined;
  let size = 0;
  let leaves = 0;

  const send = (dict: SignatureDict): void => {
    const sent = app.sender.sendDetached(dict, {}, { signal }).catch((error: unknown) => {
      failure ??= { error };
    });
    inFlight.add(sent);
    void sent.finally(() => inFlight.delete(sent));
  };
  for await (const member of members) {
    signal?.throwIfAborted();
    const { dict, result } = freeze(Call.open(member).dict, ids, { group: { id, index: size, named: true } });
    size++;
    leaves += chordSize(dict);
    kept?.push([[idOf(result), null], result[1]]);
    if (held !== undefined) send(held);
    held = frozenBody === undefined ? dict : withChord(dict, frozenBody.dict);
    if (inFlight.size >= window) await Promise.race(inFlight);
    if (failure !== undefined) throw failure.error;
  }
  await Promise.all(inFlight);
  if (failure !== undefined) throw (failure as { readonly error: unknown }).error;
  if (frozenBody !== undefined) {
    if (held === undefined) await app.sender.sendDetached(withArgs(frozenBody.dict, [[]]), {}, { signal });
    else await chords?.begin(id, leaves, [[id, null], []]);
  }
  if (held !== undefined) await app.sender.sendDetached(held, {}, { signal });
  return {
    id,
    size,
    results: kept?.map((tuple) => app.handle(tuple)),
    body: frozenBody === undefined ? undefined : app.handle(frozenBody.result),
  };
}
