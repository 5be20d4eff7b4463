/*
 * exchange   where producers send to; routes by type and routing key
 * queue      where messages wait; consumers read from it
 * binding    which routing keys of an exchange reach a queue
 */

export type ExchangeType = 'direct' | 'topic' | 'fanout' | 'headers';
export type Arguments = Readonly<Record<string, unknown>>;

export interface Exchange {
  readonly kind: 'exchange';
  /** Empty: the default exchange, which routes by queue name. */
  readonly name: string;
  readonly type: ExchangeType;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  /** Delivery mode of messages sent here that name none. */
  readonly deliveryMode?: 1 | 2 | undefined;
  readonly arguments?: Arguments | undefined;
  /** It has to exist already: declaring it creates nothing. Only AMQP looks. */
  readonly passive?: boolean | undefined;
}

export interface Binding {
  readonly kind: 'binding';
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
  /** What an exchange of type `headers` compares: header names and values, `x-match`. */
  readonly arguments?: Arguments | undefined;
  /** The exchange where it is declared along with a queue that has this binding. */
  readonly declares?: Exchange | undefined;
}

export interface Queue {
  readonly kind: 'queue';
  readonly name: string;
  /** The queue is bound to it by `routingKey` when declared; undefined: only the default exchange reaches it. */
  readonly exchange?: Exchange | undefined;
  readonly routingKey: string;
  /** Of the binding to `exchange`; see `Binding.arguments`. */
  readonly bindingArguments?: Arguments | undefined;
  /** Further bindings besides `exchange` and `routingKey`. */
  readonly bindings?: readonly Binding[] | undefined;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  /** Deliveries count as acknowledged at once. */
  readonly noAck?: boolean | undefined;
  readonly expiresMs?: number | undefined;
  readonly messageTtlMs?: number | undefined;
  readonly maxLength?: number | undefined;
  readonly maxLengthBytes?: number | undefined;
  readonly maxPriority?: number | undefined;
  /** Other broker arguments (`x-queue-type`, …). */
  readonly arguments?: Arguments | undefined;
  /** For the consumer: `x-priority`, `x-stream-offset`. Only AMQP has them. */
  readonly consumerArguments?: Arguments | undefined;
  /** It has to exist already: declaring it creates nothing. Only AMQP looks. */
  readonly passive?: boolean | undefined;
  /** Name used by `-Q` besides the queue's own. */
  readonly alias?: string | undefined;
}

export type Entity = Exchange | Queue | Binding;

/** An exchange with Celery's defaults: direct, durable, persistent. */
export function exchange(name: string, options: Partial<Omit<Exchange, 'kind' | 'name'>> = {}): Exchange {
  return { kind: 'exchange', name, type: 'direct', durable: true, autoDelete: false, ...options };
}

/** A durable queue. Without `exchange` it is reached through the default exchange by its name alone. */
export function queue(name: string, options: Partial<Omit<Queue, 'kind' | 'name'>> = {}): Queue {
  return { kind: 'queue', name, routingKey: name, durable: true, exclusive: false, autoDelete: false, ...options };
}

/**
 * Lets messages of an exchange with this routing key reach a queue; for a queue with more than one way to it.
 * @param exchange declared along with the queue, unless it is given by its name alone
 */
export function binding(
  queue: string | Queue,
  exchange: string | Exchange,
  routingKey: string,
  options: { readonly arguments?: Arguments | undefined } = {},
): Binding {
  const named = (one: string | { readonly name: string }): string => (typeof one === 'string' ? one : one.name);
  return {
    kind: 'binding',
    queue: named(queue),
    exchange: named(exchange),
    routingKey,
    ...options,
    ...(typeof exchange !== 'string' && { declares: exchange }),
  };
}
