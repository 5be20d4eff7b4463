import type { ConsumerScope, Step, StepScope, Steps } from '../app/steps.ts';
import { OperationalError } from '../errors.ts';
import { withDeadline } from '../runtime/clock.ts';
import { durationMs } from '../runtime/duration.ts';
import { inOrder } from './step-order.ts';

/** A duty of the worker itself: has its place among the steps. */
interface Own {
  readonly name: string;
  readonly requires: readonly string[];
}

const WORKER: readonly Own[] = [
  { name: 'pool', requires: [] },
  { name: 'consumer', requires: ['pool'] },
];

const CONSUMER: readonly Own[] = [
  { name: 'connection', requires: [] },
  { name: 'control', requires: ['connection'] },
  { name: 'tasks', requires: ['control'] },
];

const STEP_TIMEOUT_MS = 30_000;

interface Placed<S extends StepScope> {
  readonly name: string;
  readonly requires: readonly string[];
  /** undefined: one of the worker's own. */
  readonly step: Step<S> | undefined;
}

/** The steps of one worker in their order, cut where the worker does its own part. */
export class Blueprint<S extends StepScope> {
  readonly name: string;
  readonly order: readonly Placed<S>[];
  /** In the order in which they were started. */
  readonly #started: Step<S>[] = [];
  #closed = false;

  constructor(name: string, own: readonly Own[], steps: readonly Step<S>[]) {
    this.name = name;
    const placed = steps.map((step) => ({ name: step.name, requires: step.requires ?? [], step }));
    // Who requires nothing comes first; what others wait for, only when it is their turn.
    this.order = inOrder<Placed<S>>([...placed, ...own.map((one) => ({ ...one, step: undefined }))], name);
  }

  /** Steps that are placed after `from` and before `to`; undefined: from the beginning, to the end. */
  between(from: string | undefined, to: string | undefined): Step<S>[] {
    const at = (name: string | undefined, otherwise: number): number =>
      name === undefined ? otherwise : this.order.findIndex((one) => one.name === name);
    const slice = this.order.slice(at(from, -1) + 1, at(to, this.order.length));
    return slice.flatMap(({ step }) => (step ? [step] : []));
  }

  /** @throws what a step threw, or {OperationalError} when it took too long */
  async start(steps: readonly Step<S>[], scope: S): Promise<void> {
    for (const step of steps) {
      if (this.#closed || step.includeIf?.(scope) === false) continue;
      // Before it has begun: what failed half-way is stopped too.
      this.#started.push(step);
      scope.log.debug({ step: step.name }, `${this.name}: starting step`);
      await within(step, scope, 'start', async () => step.start?.(scope));
    }
  }

  /** Tells all that run that the end comes. */
  async close(scope: S): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const step of this.#started) await this.#end(step, scope, 'close', () => step.close?.(scope));
  }

  /** Stops those of these steps that were started, the last one first. Never throws. */
  async stop(steps: readonly Step<S>[], scope: S, cold = false): Promise<void> {
    for (const step of this.#started.toReversed()) {
      if (!steps.includes(step)) continue;
      this.#started.splice(this.#started.indexOf(step), 1);
      if (cold && step.terminate) await this.#end(step, scope, 'terminate', () => step.terminate?.(scope));
      else await this.#end(step, scope, 'stop', () => step.stop?.(scope));
    }
  }

  async #end(step: Step<S>, scope: S, what: string, work: () => void | Promise<void>): Promise<void> {
    scope.log.debug({ step: step.name }, `${this.name}: ${what}`);
    await within(step, scope, what, async () => work()).catch((error: unknown) => {
      scope.log.error({ error, step: step.name }, `${this.name}: a step failed to ${what}`);
    });
  }

  info(scope: StepScope): Record<string, unknown> {
    return Object.assign({}, ...this.#started.map((step) => step.info?.(scope) ?? {})) as Record<string, unknown>;
  }
}

function within(step: Step<never>, { app }: StepScope, what: string, work: () => Promise<void>): Promise<void> {
  const timeoutMs = step.timeout === undefined ? STEP_TIMEOUT_MS : durationMs(step.timeout);
  const late = (): Error =>
    new OperationalError(`the step "${step.name}" did not ${what} within ${timeoutMs / 1000} s`, {
      recoverable: false,
    });
  return withDeadline(app.clock, timeoutMs, work(), late);
}

/** From a worker's start to its end. @throws {UsageError} for steps that have no order */
export function workerBlueprint(steps: Steps): Blueprint<StepScope> {
  return new Blueprint('worker', WORKER, steps.worker.create());
}

/** For each connection. @throws {UsageError} for steps that have no order */
export function consumerBlueprint(steps: Steps): Blueprint<ConsumerScope> {
  return new Blueprint('consumer', CONSUMER, steps.consumer.create());
}
