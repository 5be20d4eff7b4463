import { UsageError } from '../errors.ts';
import type { Queue } from '../messaging/entity.ts';
import type { Duration } from '../runtime/duration.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Connection, Transport } from '../transports/transport.ts';
import type { Celery } from './celery.ts';

/*
 * step       something with a beginning and an end beside a worker's own duties: a pool of database connections, a
 *            server, a consumer of other messages
 * blueprint  the steps of one thing, in the order of what they require: `worker` has one life, `consumer` begins anew
 *            with each connection to the broker
 */

/** What a step may see and change of the worker it belongs to. */
export interface StepScope {
  readonly app: Celery;
  /** Node name. */
  readonly hostname: string;
  readonly log: Logger;
  readonly transport: Transport;
  /** The command line's options, those of `app.userOptions` among them, under camelCase names. Empty without it. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly pool: {
    readonly name: string;
    /** Tasks at a time. */
    readonly size: number;
    resize(size: number): Promise<void>;
  };
  readonly timer: {
    /** Calls `run` once; what it throws is logged. */
    after(delay: Duration, run: () => void): { cancel(): void };
    /** Calls `run` again and again, until it is cancelled or the worker stops. */
    every(interval: Duration, run: () => void): { cancel(): void };
  };
  readonly events: {
    /** An event of your own, or one of Celery's, with the node's name and time. */
    send(type: string, fields?: Readonly<Record<string, unknown>>): void;
  };
  /** How many messages the worker may hold; changes take effect at once. */
  readonly qos: {
    readonly value: number;
    /** More, or fewer with a negative number, than the slots and the multiplier say. */
    adjust(by: number): void;
  };
  readonly queues: readonly Queue[];
  addQueue(queue: Queue): Promise<void>;
  cancelQueue(name: string): Promise<void>;
  /** Ids of the tasks that run now. */
  active(): readonly string[];
  /** A warm stop. */
  stop(reason: string): void;
}

export interface ConsumerScope extends StepScope {
  /** The worker's connection to the broker; another one after each reconnect. */
  readonly connection: Connection;
}

type Work = void | Promise<void>;

/** Source: `Step` and `StartStopStep` of celery.bootsteps. */
export interface Step<S extends StepScope = StepScope> {
  /** Unique in its blueprint. */
  readonly name: string;
  /** Steps that start before this one and stop after it, by name: others, or the worker's own (`celeriac graph bootsteps`). */
  readonly requires?: readonly string[] | undefined;
  /** Longest time for starting, and for stopping. @default '30s' */
  readonly timeout?: Duration | undefined;
  /** `false` leaves it out of this worker. @default true */
  includeIf?(scope: StepScope): boolean;
  /** Called in order; one that fails stops the worker. */
  start?(scope: S): Work;
  /** Called for all steps before the first one stops, in order. */
  close?(scope: S): Work;
  /** Called in reverse order; a failure is logged. */
  stop?(scope: S): Work;
  /** In place of `stop` in a cold stop. */
  terminate?(scope: S): Work;
  /** Shown by `inspect stats`. */
  info?(scope: StepScope): Readonly<Record<string, unknown>>;
}

/** A step, or what makes one for each worker (a step that keeps something about its worker). */
export type StepSource<S extends StepScope> = Step<S> | (() => Step<S>);

export class StepSet<S extends StepScope> {
  readonly #sources: StepSource<S>[] = [];

  /** @throws {UsageError} when the name is taken */
  add(step: StepSource<S>): void {
    if (typeof step === 'object' && this.#sources.some((one) => typeof one === 'object' && one.name === step.name)) {
      throw new UsageError(`the step "${step.name}" is there already`);
    }
    this.#sources.push(step);
  }

  /** The steps of one worker. */
  create(): readonly Step<S>[] {
    return this.#sources.map((source) => (typeof source === 'function' ? source() : source));
  }
}

/** What an app adds to its workers. */
export class Steps {
  /** From the worker's start to its end. Without `requires`: from before the pool starts until no task runs any more. */
  readonly worker: StepSet<StepScope> = new StepSet<StepScope>();
  /** For as long as one connection to the broker lasts. */
  readonly consumer: StepSet<ConsumerScope> = new StepSet<ConsumerScope>();
}
