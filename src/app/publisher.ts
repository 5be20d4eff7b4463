import { ImproperlyConfigured, InvalidTaskError } from '../errors.ts';
import type { Entity } from '../messaging/entity.ts';
import { DEFAULT_PUBLISH_RETRY, Producer, type PublishRetry } from '../messaging/producer.ts';
import type { Message, MessageProperties } from '../protocol/message.ts';
import { argsRepr, kwargsRepr } from '../protocol/safe-repr.ts';
import type { SignatureDict, TaskBody, TaskHeaders } from '../protocol/task-message.ts';
import { isoWriter, parseIso } from '../protocol/time.ts';
import { encodeTaskV1 } from '../protocol/v1.ts';
import { encodeTaskV2, type EncodeBody } from '../protocol/v2.ts';
import { compress, compressionMime } from '../serializers/compression.ts';
import type { Destination, PublishOptions } from '../transports/transport.ts';
import { listOf } from '../canvas/dict.ts';
import { AddressBook, type Address } from './address.ts';
import type { Celery } from './celery.ts';
import { ArgumentMask } from './mask-arguments.ts';
import { effectiveTimezone } from './timezone.ts';

/** One task call, options under their names on the wire (as in signatures). */
export interface TaskCall {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly options: SignatureDict['options'];
}

/** What a publish went out as. */
export interface Published {
  readonly id: string;
  /** Nothing will be stored for it. */
  readonly ignored: boolean;
}

/** Limits of one publish. */
export interface PublishLimits {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  /** Declared first, besides what the route needs. */
  readonly declare?: readonly Entity[] | undefined;
  /** The broker takes no second message of this id, where it can tell. @default false */
  readonly once?: boolean | undefined;
}

export interface RawPublish extends PublishOptions {
  /** Declared first, once per connection. */
  readonly declares?: readonly Entity[] | undefined;
  readonly timeoutMs?: number | undefined;
}

type Options = Readonly<Record<string, unknown>>;

/** Celery refuses what its timers cannot hold. */
const LEAST_COUNTDOWN_SECONDS = -2_147_483_648;
const NO_OPTIONS: Options = Object.freeze({});
const NO_LIMITS: TaskHeaders['timelimit'] = [null, null];

/** Builds task messages and hands them to the broker. One per app. */
export class Publisher {
  readonly #app: Celery;
  readonly #producer: Producer;
  /** Publishing that says no deadline ends by this one: a caller never hangs. */
  readonly #timeoutMs: number;
  readonly #addresses: AddressBook;
  /** What `#mask` was made of. */
  #maskOf: readonly string[] | null = null;
  #mask: ArgumentMask | undefined;
  readonly #encodings = new Map<string, EncodeBody>();
  readonly #resultsAreMessages: boolean;
  readonly #policies = new WeakMap<object, PublishRetry>();
  #iso: ((ms: number) => string) | undefined;

  constructor(app: Celery) {
    this.#app = app;
    this.#timeoutMs = app.conf.publishTimeout * 1000;
    this.#resultsAreMessages = /^rpc\b/i.test(app.conf.resultBackend ?? '');
    this.#addresses = new AddressBook(app.conf, app.queues);
    this.#producer = new Producer({
      clock: app.clock,
      log: app.log,
      transport: () => app.writeTransport(),
      connectTimeoutMs: (app.conf.brokerConnectionTimeout ?? 4) * 1000,
      closesIdle: !app.conf.brokerPoolLimit,
    });
  }

  /**
   * Resolves when the broker owns the message. A task known here lends its options where the call says nothing.
   * @throws {OperationalError} when the broker was out of reach for all tries, or the deadline passed
   */
  async publish(call: TaskCall, limits: PublishLimits = {}): Promise<Published> {
    const app = this.#app;
    const defaults = app.callDefaults(call.task);
    const bare = !hasAny(call.options);
    const options = bare ? (defaults ?? NO_OPTIONS) : { ...defaults, ...present(call.options) };
    const address = this.#addresses.find(call, options, bare);
    const routed = address.options;
    const headers = this.#headers(call, routed);
    const body = taskBody(call, routed);
    const properties = this.#properties(headers, routed, address);
    if (app.signals.has('beforePublish')) {
      await app.signals.emit('beforePublish', {
        sender: call.task,
        headers: headers as Record<string, unknown>,
        args: body.args as unknown[],
        kwargs: body.kwargs as Record<string, unknown>,
        properties: properties as Record<string, unknown>,
        exchange: address.to.exchange,
        routingKey: address.to.routingKey,
      });
    }
    const serializer = (routed['serializer'] as string | null | undefined) ?? app.conf.taskSerializer;
    const encode = app.conf.taskProtocol === 1 ? encodeTaskV1 : encodeTaskV2;
    let message = encode(headers, body, this.#encoding(serializer), properties);
    const compression = (routed['compression'] as string | null | undefined) ?? app.conf.taskCompression;
    if (compression) message = await compressed(message, compression);
    const answered = this.#resultsAreMessages && headers.ignore_result !== true && properties.replyTo === app.oid;
    const published = this.#producer.publish(message, address.to, {
      declares: limits.declare === undefined ? address.declares : [...limits.declare, ...address.declares],
      mandatory: routed['mandatory'] === true ? true : undefined,
      etaMs: headers.eta === null ? undefined : parseIso(headers.eta),
      signal: limits.signal,
      once: limits.once ? headers.id : undefined,
      timeoutMs: limits.timeoutMs ?? this.#timeoutMs,
      retry: this.#retry(routed),
      prepare: answered ? await this.#replies() : undefined,
    });
    if (app.signals.has('publishFailed')) {
      await published.catch(async (error: unknown) => {
        await app.signals.emit('publishFailed', { sender: call.task, headers, error });
        throw error;
      });
    } else await published;
    if (app.signals.has('afterPublish')) {
      await app.signals.emit('afterPublish', {
        sender: call.task,
        headers,
        args: body.args,
        kwargs: body.kwargs,
        exchange: address.to.exchange,
        routingKey: address.to.routingKey,
      });
    }
    if (app.conf.taskSendSentEvent) await this.#announce(headers, address);
    return { id: headers.id, ignored: headers.ignore_result === true };
  }

  /** Queue or routing key that a call would go to. @throws {ImproperlyConfigured} for a queue that may not be created */
  addressOf(call: TaskCall): string {
    const defaults = this.#app.callDefaults(call.task);
    const options = defaults === undefined ? call.options : { ...defaults, ...present(call.options) };
    return this.#addresses.find(call, options).queueName;
  }

  /** For events and control: the message as it is. */
  publishRaw(message: Message, to: Destination, options: RawPublish = {}): Promise<void> {
    return this.#producer.publish(message, to, {
      ...options,
      timeoutMs: options.timeoutMs ?? this.#timeoutMs,
      retry: this.#retry({}),
    });
  }

  close(): Promise<void> {
    return this.#producer.close();
  }

  /** What opens the way back where results are messages. */
  async #replies(): Promise<() => true | Promise<void>> {
    const backend = await this.#app.backend();
    return () => backend.prepare?.() ?? true;
  }

  /** A body encoder bound to one serializer. */
  #encoding(name: string): EncodeBody {
    let encoding = this.#encodings.get(name);
    if (encoding === undefined) {
      const { serializers } = this.#app;
      encoding = (value) => serializers.encode(value, name);
      this.#encodings.set(name, encoding);
    }
    return encoding;
  }

  /** In Python's order; custom headers last. Spec: messages.md 2. */
  #headers(call: TaskCall, options: Options): TaskHeaders {
    const app = this.#app;
    const run = app.lineage.current;
    const id = (options['task_id'] as string | null | undefined) ?? app.random.uuid();
    const parent = run?.request.calledDirectly === false ? run.request : undefined;
    const mask = this.#argumentMask();
    const stamped = options['stamped_headers'] as readonly string[] | null | undefined;
    const headers: Record<string, unknown> = {
      lang: 'js',
      task: call.task,
      id,
      shadow: options['shadow'] ?? null,
      eta: this.#eta(options),
      expires: this.#expires(options['expires']),
      group: options['group_id'] ?? null,
      group_index: options['group_index'] ?? null,
      retries: options['retries'] ?? 0,
      timelimit:
        options['time_limit'] == null && options['soft_time_limit'] == null
          ? NO_LIMITS
          : [options['time_limit'] ?? null, options['soft_time_limit'] ?? null],
      root_id: options['root_id'] ?? parent?.rootId ?? parent?.id ?? id,
      parent_id: options['parent_id'] ?? parent?.id ?? null,
      argsrepr:
        options['argsrepr'] ?? argsRepr(mask?.args(call.args, app.tasks.get(call.task)?.options.params) ?? call.args),
      kwargsrepr: options['kwargsrepr'] ?? kwargsRepr(mask?.kwargs(call.kwargs) ?? call.kwargs),
      origin: options['origin'] ?? app.origin,
      ignore_result: options['ignore_result'] ?? false,
      replaced_task_nesting: options['replaced_task_nesting'] ?? 0,
      stamped_headers: stamped ?? null,
      stamps: stamped ? Object.fromEntries(stamped.map((name) => [name, options[name] ?? null])) : {},
    };
    const custom = options['headers'];
    if (custom !== undefined && custom !== null) Object.assign(headers, custom);
    return headers as unknown as TaskHeaders;
  }

  #argumentMask(): ArgumentMask | undefined {
    const { conf } = this.#app;
    if (this.#maskOf !== conf.maskedArguments) {
      this.#maskOf = conf.maskedArguments;
      this.#mask = ArgumentMask.of(conf);
    }
    return this.#mask;
  }

  #text(ms: number): string {
    this.#iso ??= isoWriter(effectiveTimezone(this.#app.conf));
    return this.#iso(ms);
  }

  #eta(options: Options): string | null {
    const { countdown, eta } = options;
    if (typeof countdown === 'number' && countdown !== 0) {
      return this.#text(this.#app.clock.now() + checkedSeconds(countdown, 'countdown') * 1000);
    }
    return typeof eta === 'string' ? eta : null;
  }

  #expires(expires: unknown): string | null {
    if (typeof expires === 'number')
      return this.#text(this.#app.clock.now() + checkedSeconds(expires, 'expires') * 1000);
    return typeof expires === 'string' ? expires : null;
  }

  #properties(headers: TaskHeaders, options: Options, address: Address): MessageProperties {
    const { oid } = this.#app;
    const properties: MessageProperties = {
      correlationId: headers.id,
      replyTo: (options['reply_to'] as string | null | undefined) ?? oid,
      deliveryMode: address.deliveryMode,
      priority: this.#priority(options, address),
    };
    if (headers.expires !== null) {
      const leftMs = Math.trunc(parseIso(headers.expires) - this.#app.clock.now());
      if (leftMs < 0) {
        const { id: taskId, task } = headers;
        this.#app.log.warn({ taskId, task, expires: headers.expires }, 'the task has expired before it was sent');
      }
      properties.expiration = String(Math.max(0, leftMs));
    }
    const extra = options['properties'];
    if (extra !== undefined && extra !== null) properties.extra = extra as Record<string, unknown>;
    return properties;
  }

  /** Quirk: Celery writes 0 where nobody gave a priority, except when the caller named the queue. */
  #priority(options: Options, address: Address): number | undefined {
    const given = (options['priority'] ?? this.#inherited() ?? this.#app.conf.taskDefaultPriority) as number | null;
    return given ?? (address.queueGiven ? undefined : 0);
  }

  #inherited(): number | null | undefined {
    if (!this.#app.conf.taskInheritParentPriority) return undefined;
    return this.#app.lineage.current?.request.deliveryInfo.priority;
  }

  #retry(options: Options): PublishRetry {
    if (!((options['retry'] as boolean | null | undefined) ?? this.#app.conf.taskPublishRetry)) {
      return { ...DEFAULT_PUBLISH_RETRY, maxRetries: 0 };
    }
    const policy = options['retry_policy'] ?? this.#app.conf.taskPublishRetryPolicy;
    if (policy === undefined || policy === null) return DEFAULT_PUBLISH_RETRY;
    let known = this.#policies.get(policy);
    if (known === undefined) this.#policies.set(policy, (known = publishRetry(policy as Options)));
    return known;
  }

  async #announce(headers: TaskHeaders, { to, queueName }: Address): Promise<void> {
    try {
      await this.#app.publishEvent('task-sent', {
        uuid: headers.id,
        root_id: headers.root_id,
        parent_id: headers.parent_id,
        name: headers.task,
        args: headers.argsrepr,
        kwargs: headers.kwargsrepr,
        retries: headers.retries,
        eta: headers.eta,
        expires: headers.expires,
        queue: queueName,
        exchange: to.exchange,
        routing_key: to.routingKey,
      });
    } catch (error) {
      this.#app.log.warn({ error, taskId: headers.id }, 'the task was sent, its task-sent event was not');
    }
  }
}

function taskBody(call: TaskCall, options: Options): TaskBody {
  const callbacks = options['link'];
  const errbacks = options['link_error'];
  return {
    args: call.args,
    kwargs: call.kwargs,
    embed: {
      callbacks: callbacks == null ? null : listOf(callbacks),
      errbacks: errbacks == null ? null : listOf(errbacks),
      chain: (options['chain'] as readonly SignatureDict[] | null | undefined) ?? null,
      chord: (options['chord'] as SignatureDict | null | undefined) ?? null,
    },
  };
}

function checkedSeconds(seconds: number, name: string): number {
  if (seconds >= LEAST_COUNTDOWN_SECONDS && Number.isFinite(seconds)) return seconds;
  throw new InvalidTaskError(`${name}: expected a number of seconds within reach of a clock, got ${seconds}`);
}

function hasAny(options: Options): boolean {
  for (const _ in options) return true;
  return false;
}

/** Options without those that are null or undefined: they mean "not given". */
function present(options: Options): Options {
  for (const name in options) {
    if (options[name] === null || options[name] === undefined) {
      return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null && value !== undefined));
    }
  }
  return options;
}

async function compressed(message: Message, name: string): Promise<Message> {
  return {
    ...message,
    body: await compress(message.body, name),
    headers: { ...message.headers, compression: compressionMime(name) },
  };
}

/** Accepts Celery's names and seconds, as settings and signatures have them. */
function publishRetry(policy: Options): PublishRetry {
  const number = (name: string, camel: string, otherwise: number): number => {
    const value = policy[name] ?? policy[camel];
    if (value === undefined) return otherwise;
    if (typeof value === 'number' && value >= 0) return value * 1000;
    throw new ImproperlyConfigured(`retry policy: expected "${name}" in seconds, got ${JSON.stringify(value)}`);
  };
  const most = 'max_retries' in policy ? policy['max_retries'] : policy['maxRetries'];
  return {
    maxRetries:
      most === undefined ? DEFAULT_PUBLISH_RETRY.maxRetries : most === Infinity ? null : (most as number | null),
    intervalStartMs: number('interval_start', 'intervalStart', 0),
    intervalStepMs: number('interval_step', 'intervalStep', 200),
    intervalMaxMs: number('interval_max', 'intervalMax', 1000),
  };
}
