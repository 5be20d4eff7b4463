import { ImproperlyConfigured } from '../errors.ts';
import { JSON_RESULTS, type ResultCodec, type ResultTuple, type Stored } from '../protocol/result.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import { maskUrl } from '../runtime/mask-url.ts';
import { redisSettings } from '../transports/redis/options.ts';
import { parseRedisUrl, unverified } from '../transports/redis/url.ts';
import type { DriverContext } from '../transports/transport.ts';
import type { BackendCapabilities, ResultBackend, ResultListener, ResultRecord, ResultWatch } from './backend.ts';
import type { BackendOptions, CreateBackend } from './drivers.ts';
import { RedisChords } from './redis/chords.ts';
import { Link, type RetryPolicy } from './redis/link.ts';
import { STORE } from './redis/scripts.ts';
import { Subscriptions } from './redis/subscriptions.ts';

/*
 * Results in Redis or Valkey as Celery keeps them: celery-task-meta-<id>, celery-taskset-meta-<id>, and what is stored
 * is published under the same name.
 *
 * Features   pushed results, chords on Celery's keys, expiry by the server, SUCCESS never overwritten (atomically)
 * Package    ioredis 5 or 6
 * URL        as the transport's
 * Options    result_backend_transport_options: global_keyprefix, retry_policy, master_name, socket_timeout, …
 *
 * One socket for commands, one more for subscriptions while somebody waits.
 */

const CAPABILITIES: BackendCapabilities = {
  push: true,
  expiry: 'native',
  chord: 'native',
  persistent: true,
  shared: true,
};

/** Most results, and characters of them, in one script call. */
const MOST_WRITES = 200;
const MOST_CHARACTERS = 2 ** 20;

interface Writes {
  readonly keys: string[];
  readonly values: Stored[];
  characters: number;
  readonly done: Deferred<void>;
}

class RedisBackend implements ResultBackend {
  readonly name = 'redis';
  readonly displayUrl: string;
  readonly capabilities: BackendCapabilities;
  readonly chords: RedisChords;
  readonly #link: Link;
  readonly #subscriptions: Subscriptions;
  readonly #context: DriverContext;
  readonly #codec: ResultCodec;
  readonly #prefix: string;
  readonly #expiresSeconds: number;
  #writes: Writes[] = [];

  constructor(url: string, options: BackendOptions, context: DriverContext) {
    const settings = redisSettings(options.transportOptions);
    const address = parseRedisUrl(url, settings);
    this.displayUrl = maskUrl(url);
    // With a single connection there is none to subscribe on: whoever waits asks.
    this.capabilities =
      options.transportOptions['max_connections'] === 1 ? { ...CAPABILITIES, push: false } : CAPABILITIES;
    this.#context = context;
    this.#codec = options.codec ?? JSON_RESULTS;
    this.#prefix = keyPrefix(settings.globalKeyprefix);
    this.#expiresSeconds = options.expiresMs === null ? 0 : Math.max(Math.ceil(options.expiresMs / 1000), 0);
    this.#link = new Link(address, settings, retryPolicy(options.transportOptions), context);
    this.#subscriptions = new Subscriptions(address, settings, context, (keys) => this.#read(keys), this.#codec.binary);
    this.chords = new RedisChords({
      link: this.#link,
      codec: this.#codec,
      prefix: this.#prefix,
      expiresSeconds: this.#expiresSeconds,
      ordered: (options.transportOptions['result_chord_ordered'] ?? true) !== false,
      saveGroup: (groupId, group) => this.saveGroup(groupId, group),
    });
    if (unverified(address)) {
      context.log.warn(
        { backend: this.displayUrl },
        'TLS without checking the certificate: anyone in between can read along',
      );
    }
  }

  #taskKey(id: string): string {
    return `${this.#prefix}celery-task-meta-${id}`;
  }

  #groupKey(id: string): string {
    return `${this.#prefix}celery-taskset-meta-${id}`;
  }

  async store(record: ResultRecord): Promise<void> {
    await this.#write(this.#taskKey(record.taskId), this.#codec.encode(record));
  }

  /** Collects the writes of one tick; each learns when its own batch is stored. */
  #write(key: string, value: Stored): Promise<void> {
    let writes = this.#writes.at(-1);
    if (!writes || writes.keys.length >= MOST_WRITES || writes.characters + value.length > MOST_CHARACTERS) {
      if (this.#writes.length === 0) setImmediate(() => this.#flush());
      writes = { keys: [], values: [], characters: 0, done: deferred() };
      this.#writes.push(writes);
    }
    writes.keys.push(key);
    writes.values.push(value);
    writes.characters += value.length;
    return writes.done.promise;
  }

  #flush(): void {
    const batches = this.#writes;
    this.#writes = [];
    for (const { keys, values, done } of batches) {
      this.#link
        .retry((socket) => socket.run(STORE, keys, [this.#expiresSeconds, ...values]))
        .then(() => done.resolve(), done.reject);
    }
  }

  async load(taskId: string): Promise<ResultRecord | undefined> {
    return (await this.loadMany([taskId]))[0];
  }

  async loadMany(taskIds: readonly string[]): Promise<(ResultRecord | undefined)[]> {
    if (taskIds.length === 0) return [];
    const texts = await this.#read(taskIds.map((id) => this.#taskKey(id)));
    return texts.map((text, i) => (text === null ? undefined : this.#codec.decode(text, taskIds[i])));
  }

  #read(keys: readonly string[]): Promise<(Stored | null)[]> {
    return this.#link.retry(async (socket) => {
      const replies = this.#codec.binary ? socket.callBuffer('MGET', ...keys) : socket.call('MGET', ...keys);
      return (await replies) as (Stored | null)[];
    });
  }

  watch(taskId: string, listener: ResultListener): ResultWatch {
    const key = this.#taskKey(taskId);
    let open = true;
    const receive = (text: Stored): void => {
      if (!open) return;
      let record: ResultRecord;
      try {
        record = this.#codec.decode(text, taskId);
      } catch (error) {
        this.#context.log.warn({ error, taskId }, 'a published result cannot be read');
        return;
      }
      listener(record);
    };
    const ready = this.#subscriptions.add(key, receive);
    ready.catch(() => {});
    return {
      ready,
      close: () => {
        if (!open) return;
        open = false;
        this.#subscriptions.remove(key, receive);
      },
    };
  }

  async forget(taskId: string): Promise<void> {
    await this.#link.retry((socket) => socket.call('DEL', this.#taskKey(taskId)));
  }

  async saveGroup(groupId: string, group: ResultTuple): Promise<void> {
    await this.#write(this.#groupKey(groupId), this.#codec.encodeGroup(group));
  }

  async loadGroup(groupId: string): Promise<ResultTuple | undefined> {
    const [text] = await this.#read([this.#groupKey(groupId)]);
    if (text === undefined || text === null) return undefined;
    return this.#codec.decodeGroup(text);
  }

  async deleteGroup(groupId: string): Promise<void> {
    await this.#link.retry((socket) => socket.call('DEL', this.#groupKey(groupId)));
  }

  /** The server drops what has expired. */
  async cleanup(): Promise<number> {
    return 0;
  }

  async close(): Promise<void> {
    this.#subscriptions.close();
    this.#link.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Source: `RedisBackend._add_global_key_prefix`; a separator is added where the prefix has none. */
function keyPrefix(prefix: string): string {
  return prefix === '' || /[:_.-]$/.test(prefix) ? prefix : `${prefix}_`;
}

/** Celery's default: 20 times, at once and then every second. */
function retryPolicy(options: Readonly<Record<string, unknown>>): RetryPolicy {
  const given = (options['retry_policy'] ?? options['retryPolicy'] ?? {}) as Readonly<Record<string, unknown>>;
  const number = (name: string, fallback: number): number => {
    const value = given[name] ?? fallback;
    if (typeof value === 'number' && value >= 0) return value;
    throw new ImproperlyConfigured(`expected retry_policy.${name} to be a number, got ${JSON.stringify(value)}`);
  };
  return {
    maxRetries: number('max_retries', 20),
    startMs: number('interval_start', 0) * 1000,
    stepMs: number('interval_step', 1) * 1000,
    maxMs: number('interval_max', 1) * 1000,
  };
}

/** A result backend over Redis. Connects when it is first used. */
export const createBackend: CreateBackend = (url, options, context) => new RedisBackend(url, options, context);
