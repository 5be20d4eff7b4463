import type { Binding, Entity, Queue } from '../messaging/entity.ts';
import type { Message } from '../protocol/message.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Random } from '../runtime/random.ts';

/*
 * transport   a kind of broker at one address; makes connections
 * connection  one link to the broker; dies as a whole, its owner decides about the next one
 * channel     a place to declare, publish and consume on a connection
 * delivery    one hand-over of a message to one consumer; settled exactly once
 * lease       the broker's promise that nobody else is handed the message meanwhile
 */

/** What a driver can do, as data: the contract suite and the README's table read it. */
export interface TransportCapabilities {
  readonly exchanges: 'native' | 'emulated';
  /** Which number is served first, or false where order is by age alone. */
  readonly priority: 'lowest-first' | 'highest-first' | false;
  /** Reaches every bound queue; remote control and events need it. */
  readonly fanout: boolean;
  /** `native`: `publish({ delayMs })` keeps the message in the broker until it is due. */
  readonly delay: 'native' | 'worker';
  /** Survives a broker restart (as far as the server is configured to). */
  readonly persistent: boolean;
  /** Several processes can share it. */
  readonly shared: boolean;
  /** The driver knows how often a message was handed over. */
  readonly deliveryCount: boolean;
  /** `publish({ once })` takes a message no more than once. @default false */
  readonly once?: boolean | undefined;
}

/** What every driver is given besides its URL. */
export interface DriverContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface Transport {
  /** Driver name as Celery has it: `redis`, `amqp`, `memory`, `sqlite`. */
  readonly name: string;
  /** The address as it may be shown: no password. */
  readonly displayUrl: string;
  readonly capabilities: TransportCapabilities;
  /** Host, port and so on for `inspect stats`. */
  readonly info: BrokerInfo;
  connect(options?: ConnectOptions): Promise<Connection>;
}

export interface ConnectOptions {
  readonly signal?: AbortSignal | undefined;
  /** Tasks run in this event loop and may block it: leases are to be kept all the same, where that is possible. */
  readonly sharesLoop?: boolean | undefined;
}

export interface BrokerInfo {
  readonly hostname: string;
  readonly port: number | null;
  readonly virtualHost: string;
  readonly userid: string | null;
  readonly ssl: boolean;
}

export interface Connection extends AsyncDisposable {
  channel(): Promise<Channel>;
  /** Settles once: with the error that ended the connection, or undefined after `close()`. Never rejects. */
  readonly closed: Promise<Error | undefined>;
  /** Returns what its channels hold unsettled to their queues, then disconnects. Harmless twice. */
  close(): Promise<void>;
}

export interface Destination {
  /** Empty text: the default exchange, whose routing key is the queue's name. */
  readonly exchange: string;
  readonly routingKey: string;
}

export interface PublishOptions {
  /** Deliver no sooner than this many milliseconds from now. Only where `capabilities.delay` is `native`. */
  readonly delayMs?: number | undefined;
  /**
   * When the message is due (Unix time, milliseconds), which it says itself too: whoever receives it waits for the rest.
   * A broker that keeps messages until they are due may hand it over up to a second before. Others take no notice.
   */
  readonly etaMs?: number | undefined;
  /**
   * A message with this text that the broker took before is not taken again; the publish resolves all the same. Brokers
   * remember for an hour. Ignored where `capabilities.once` is not true, and for messages with a delay.
   */
  readonly once?: string | undefined;
  /** An unroutable message rejects instead of vanishing. */
  readonly mandatory?: boolean | undefined;
  /** Gives up waiting for the broker; the message may still arrive. */
  readonly signal?: AbortSignal | undefined;
}

export interface ConsumeOptions {
  /**
   * Most unsettled deliveries at a time, those of all consumers of the channel counted together; 0 is unlimited, below 0
   * nothing is delivered. RabbitMQ counts for each consumer on quorum queues, and on all queues from version 4 on.
   */
  readonly prefetch: number;
  /** Deliveries count as acknowledged at once; `ack` and `reject` do nothing. */
  readonly noAck?: boolean | undefined;
  /**
   * The broker ended this consumer (queue deleted, node gone); the channel still works. Called at most once.
   * @param settles what it delivered before can still be settled
   */
  readonly onCancel?: ((reason: Error, settles?: boolean) => void) | undefined;
}

export interface Channel extends AsyncDisposable {
  /** Creates what does not exist yet; the same twice is harmless. A queue brings its exchange and bindings. */
  declare(entity: Entity): Promise<void>;
  /** Resolves when the broker owns the message, not when the bytes have left. */
  publish(message: Message, to: Destination, options?: PublishOptions): Promise<void>;
  /** `deliver` returns at once and never throws. */
  consume(queue: Queue, deliver: (delivery: Delivery) => void, options: ConsumeOptions): Promise<Consumer>;
  /** Takes one message without a consumer; undefined when none is ready. */
  get(queue: string): Promise<Delivery | undefined>;
  /** Messages ready in the queue; 0 for an unknown one. */
  size(queue: string): Promise<number>;
  /** Drops what is ready, not what is unsettled; resolves to how many. */
  purge(queue: string): Promise<number>;
  deleteQueue(queue: string): Promise<void>;
  /** Removes an exchange and its bindings; an unknown one is no error. Left out where brokers keep none. */
  deleteExchange?(exchange: string): Promise<void>;
  /**
   * The bindings that the broker knows, whoever made them. Left out where it cannot be asked.
   * @param exchange only those of this one, which is cheap however much else there is
   */
  bindings?(exchange?: string): Promise<readonly Binding[]>;
  /** Cancels its consumers and puts what is unsettled back. Harmless twice. */
  close(): Promise<void>;
}

export interface Consumer extends AsyncDisposable {
  /** As `prefetch`. */
  setPrefetch(count: number): Promise<void>;
  /** No deliveries after it resolved; those already handed over stay valid. Harmless twice. */
  cancel(): Promise<void>;
  /**
   * `clock.monotonic()` of the last proof that this consumer reads from the broker (an answered fetch or probe).
   * The supervisor restarts a consumer whose proof is too old.
   */
  readonly lastProofMs: number;
}

/** For brokers that count how often a message came back, and not why. */
export interface Suspicion {
  /** Times it came back: its consumer died, lost its link, or returned it. */
  readonly returns: number;
  /** Each run after the first can be written down; else the last that is allowed. */
  readonly everyRun?: true;
  /**
   * Writes down that a run begins, until the delivery is settled.
   * @param limit deaths that are too many, where every run is written down; else one is
   * @returns whether so many runs that were written down died with their workers
   */
  begin(limit: number): Promise<boolean>;
}

/** Who runs what a delivery brought. */
export interface LeaseHolder {
  /** The message may be somebody else's by now: what runs should end, and may neither store a result nor settle. */
  leaseLost(delivery: Delivery): void;
}

export interface Delivery {
  /**
   * Told at most once, as soon as the driver learns that the lease is lost, settled deliveries not. Set by who runs it.
   * A lease that ends with its connection is not told of: the connection's owner learns that.
   */
  holder?: LeaseHolder | undefined;
  readonly message: Message;
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly deliveryTag: string | number;
  readonly redelivered: boolean;
  /**
   * How often the message was handed over, this time included, returns on purpose (`requeue`, closing) not counted:
   * above 1, a consumer died with it. Undefined where the driver cannot know.
   */
  readonly deliveryCount: number | undefined;
  /** Of a message that came back, where deaths under its runs can be told from other returns; then `deliveryCount` counts for nothing. */
  readonly suspicion?: Suspicion | undefined;
  /** Resolves when the broker has forgotten the message. Settling twice does nothing. */
  ack(): Promise<void>;
  reject(options: { readonly requeue: boolean }): Promise<void>;
  /**
   * Whether the lease still holds. `true` at once while it was renewed lately, else asks the broker.
   * A worker that lost it may neither store a result nor acknowledge.
   */
  held(): true | Promise<boolean>;
}
