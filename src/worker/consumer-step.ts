import type { Step, StepScope } from '../app/steps.ts';
import { Connection } from '../messaging/connection.ts';
import type { Consumer, ConsumerOptions } from '../messaging/consumer.ts';
import type { Queue } from '../messaging/entity.ts';
import type { Message } from '../messaging/message.ts';

export interface ConsumerStepOptions<T> extends Omit<
  ConsumerOptions<T>,
  'onMessage' | 'callbacks' | 'onConnectionError' | 'onConnectionRevived'
> {
  readonly name: string;
  readonly queues: Queue | readonly Queue[];
  readonly requires?: readonly string[] | undefined;
  /** Acknowledges, rejects or requeues the message itself. One that throws: the message is logged and rejected. */
  readonly onMessage: (message: Message<T>, scope: StepScope) => void | Promise<void>;
}

/**
 * A step that consumes messages that are no tasks, over a connection of its own that looks after itself. It begins when
 * the worker consumes, and stops when the worker begins to stop. Source: `ConsumerStep` of celery.bootsteps.
 *
 * @example
 * app.steps.worker.add(consumerStep({
 *   name: 'orders', queues: queue('orders'),
 *   onMessage: async (message) => { await save(message.payload); await message.ack(); },
 * }));
 */
export function consumerStep<T = unknown>(options: ConsumerStepOptions<T>): () => Step {
  return () => new ConsumerStep<T>(options);
}

class ConsumerStep<T> implements Step {
  readonly name: string;
  readonly requires: readonly string[];
  /** Longer than a consumer waits for its handlers. */
  readonly timeout = '60s';
  readonly #options: ConsumerStepOptions<T>;
  #connection: Connection | undefined;
  #consumer: Consumer<T> | undefined;
  #handled = 0;

  constructor(options: ConsumerStepOptions<T>) {
    this.name = options.name;
    this.requires = options.requires ?? ['consumer'];
    this.#options = options;
  }

  async start(scope: StepScope): Promise<void> {
    const { app, log } = scope;
    const { queues, onMessage, name: _name, requires: _requires, ...options } = this.#options;
    this.#connection = new Connection(scope.transport, {
      clock: app.clock,
      random: app.random,
      log: log.child({ step: this.name }),
      serializers: app.serializers,
    });
    this.#consumer = this.#connection.consumer<T>(queues, {
      onError: (error, message) => {
        log.error({ error, step: this.name, queue: message.deliveryInfo.queue }, 'a message could not be handled');
        message.reject().catch(() => undefined);
      },
      ...options,
      onMessage: async (message) => {
        await onMessage(message, scope);
        this.#handled++;
      },
    });
    await this.#consumer.consume();
  }

  async stop(): Promise<void> {
    await this.#consumer?.cancel();
    await this.#connection?.close();
  }

  async terminate(): Promise<void> {
    await this.#consumer?.cancel({ drainTimeout: 0 });
    await this.#connection?.close();
  }

  info(): Readonly<Record<string, unknown>> {
    return { [this.name]: { queues: this.#consumer?.queues.map(({ name }) => name) ?? [], handled: this.#handled } };
  }
}
