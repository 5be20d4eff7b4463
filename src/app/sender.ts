import type { ChordStore } from '../backends/backend.ts';
import { NotSupported } from '../errors.ts';
import type { SendLimits } from '../canvas/call.ts';
import { asDict, isChain, isChord, isGroup, withOptions } from '../canvas/dict.ts';
import { containsChord } from '../canvas/leaves.ts';
import { plan, type PlanPlace } from '../canvas/plan.ts';
import type { WireOptions } from '../canvas/wire-options.ts';
import type { AsyncResult } from '../result/async-result.ts';
import { resultFrom } from '../result/result-from.ts';
import { TaskResult } from '../result/task-result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { Celery } from './celery.ts';
import { unlockRouted } from './chord-unlock.ts';
import { applyDict } from './eager.ts';
import type { Published, TaskCall } from './publisher.ts';

/** Members of a group that are on their way to the broker at a time. */
const PUBLISH_WINDOW = 512;

/** Turns signatures into messages and messages into handles. */
export class Sender {
  readonly #app: Celery;

  constructor(app: Celery) {
    this.#app = app;
  }

  /** Sends a signature whose arguments are complete; inside a task the handle becomes one of its children. */
  send(dict: SignatureDict, options: WireOptions = {}, limits: SendLimits = {}): Promise<AsyncResult<unknown>> {
    if (this.#app.conf.taskAlwaysEager) return applyDict(this.#app, dict, options);
    return isWorkflow(dict) ? this.#sendWorkflow(dict, options, limits) : this.#sendOne(dict, options, limits);
  }

  async #sendWorkflow(dict: SignatureDict, options: WireOptions, limits: SendLimits): Promise<AsyncResult<unknown>> {
    return this.#child(await this.sendDetached(dict, options, limits));
  }

  async #sendOne(dict: SignatureDict, options: WireOptions, limits: SendLimits): Promise<AsyncResult<unknown>> {
    return this.#child(this.#handle(await this.#app.publisher.publish(plainCall(dict, options), limits)));
  }

  #child(handle: AsyncResult<unknown>): AsyncResult<unknown> {
    this.#app.lineage.current?.children.push(handle.toJSON());
    return handle;
  }

  /** Runs a signature here instead of sending it. */
  apply(dict: SignatureDict): Promise<AsyncResult<unknown>> {
    return applyDict(this.#app, dict, {});
  }

  /** The same without a trace in the running task, and never eager. */
  async sendDetached(
    dict: SignatureDict,
    options: WireOptions = {},
    limits: SendLimits = {},
    place: PlanPlace = {},
  ): Promise<AsyncResult<unknown>> {
    const app = this.#app;
    if (!isWorkflow(dict) && place.chord === undefined)
      return this.#handle(await app.publisher.publish(plainCall(dict, options), limits));
    const counts = containsChord(dict) ? await this.#countingBackend() : undefined;
    const ids = {
      uuid: () => app.random.uuid(),
      oid: app.oid,
      chords: counts === undefined ? ('unlock' as const) : ('native' as const),
      headerErrbacks: app.conf.taskAllowErrorCbOnChordHeader,
    };
    const { chords, calls, result } = plan(asDict(dict), options, ids, place);
    if (counts !== undefined) {
      await Promise.all(chords.map(({ groupId, size, group }) => counts.begin(groupId, size, group)));
    }
    for (let at = 0; at < calls.length; at += PUBLISH_WINDOW) {
      const window = calls.slice(at, at + PUBLISH_WINDOW);
      await Promise.all(window.map((call) => app.publisher.publish(unlockRouted(app, call), limits)));
    }
    return resultFrom(app.results, result);
  }

  #handle({ id, ignored }: Published): TaskResult<unknown> {
    return new TaskResult(this.#app.results, id, null, ignored);
  }

  /** What counts the members of chords; undefined where a task has to look for their results. */
  async #countingBackend(): Promise<ChordStore | undefined> {
    const { capabilities, name, chords } = await this.#app.backend();
    if (capabilities.chord !== 'none') return chords;
    throw new NotSupported(
      `chords need a result backend that keeps results, and "${name}" does not: set resultBackend`,
    );
  }
}

function isWorkflow(dict: SignatureDict): boolean {
  return isChain(dict) || isGroup(dict) || isChord(dict);
}

function plainCall(dict: SignatureDict, options: WireOptions): TaskCall {
  const { task, args, kwargs } = dict;
  return { task, args, kwargs, options: hasAny(dict.options) ? merged(dict, options) : options };
}

function hasAny(options: WireOptions): boolean {
  for (const _ in options) return true;
  return false;
}

/** Call options win over the signature's, except its group and stamps (spec: messages.md 5.1). */
function merged(dict: SignatureDict, options: WireOptions): WireOptions {
  return withOptions(dict, options).options;
}
