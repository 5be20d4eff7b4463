import type { ConsumerScope, StepScope } from '../app/steps.ts';
import { OperationalError } from '../errors.ts';
import type { Connection } from '../transports/transport.ts';
import { consumerBlueprint, workerBlueprint, type Blueprint } from './blueprint.ts';
import { consumerScope, stepScope, type Lent } from './step-scope.ts';

interface Session {
  readonly blueprint: Blueprint<ConsumerScope>;
  readonly scope: ConsumerScope;
}

/** Runs the steps that an app adds to a worker, at the worker's side. */
export class OwnSteps {
  readonly #scope: StepScope;
  readonly #worker: Blueprint<StepScope>;
  #session: Session | undefined;
  /** The steps of an earlier connection until they have stopped. */
  #leaving: Promise<void> = Promise.resolve();

  /** @throws {UsageError} for steps that have no order */
  constructor(lent: Lent) {
    this.#scope = stepScope(lent);
    this.#worker = workerBlueprint(lent.parts.app.steps);
    consumerBlueprint(lent.parts.app.steps);
  }

  /** Before the pool starts. */
  first(): Promise<void> {
    return this.#start(undefined, 'pool');
  }

  /** When the pool has started, before anything is consumed. */
  second(): Promise<void> {
    return this.#start('pool', 'consumer');
  }

  /** When the worker consumes. */
  third(): Promise<void> {
    return this.#start('consumer', undefined);
  }

  #start(from: string | undefined, to: string | undefined): Promise<void> {
    return this.#worker.start(this.#worker.between(from, to), this.#scope);
  }

  /** The worker is about to stop: steps that need its consumer end. */
  async close(cold: boolean): Promise<void> {
    await this.#worker.close(this.#scope);
    await this.#session?.blueprint.close(this.#session.scope);
    await this.#worker.stop(this.#worker.between('consumer', undefined), this.#scope, cold);
  }

  /** No task runs any more, the pool is still there. */
  async idle(cold: boolean): Promise<void> {
    await this.#worker.stop(this.#worker.between('pool', 'consumer'), this.#scope, cold);
  }

  /** The pool is gone. */
  async last(cold: boolean): Promise<void> {
    await this.#worker.stop(this.#worker.between(undefined, 'pool'), this.#scope, cold);
  }

  /** A connection is there; `control` is set up in between. */
  async connected(connection: Connection, control: () => Promise<void>): Promise<void> {
    await this.disconnected();
    const blueprint = consumerBlueprint(this.#scope.app.steps);
    const scope = consumerScope(this.#scope, connection);
    this.#session = { blueprint, scope };
    await this.#begin(undefined, 'control');
    await control();
    await this.#begin('control', 'tasks');
  }

  /** Its queues are consumed. */
  async consuming(): Promise<void> {
    await this.#begin('tasks', undefined);
  }

  /** A step that fails for another reason than the broker would fail again: the worker ends. */
  async #begin(from: string | undefined, to: string | undefined): Promise<void> {
    if (!this.#session) return;
    const { blueprint, scope } = this.#session;
    try {
      await blueprint.start(blueprint.between(from, to), scope);
    } catch (cause) {
      if (cause instanceof OperationalError) throw cause;
      throw new OperationalError(`a step of the consumer failed: ${(cause as Error).message}`, {
        recoverable: false,
        cause,
      });
    }
  }

  /** The connection is lost, or about to be closed. Harmless twice. */
  disconnected(cold = false): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    if (session) {
      const { blueprint, scope } = session;
      const stopping = (): Promise<void> => blueprint.stop(blueprint.between(undefined, undefined), scope, cold);
      this.#leaving = this.#leaving.then(stopping);
    }
    return this.#leaving;
  }

  /** For `inspect stats`. */
  info(): Record<string, unknown> {
    return { ...this.#worker.info(this.#scope), ...this.#session?.blueprint.info(this.#scope) };
  }
}
