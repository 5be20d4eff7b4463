import type { RedisSettings } from './options.ts';

/*
 * ready key   list of one queue and one priority step; left is newest, right is next
 * step        the largest of `priority_steps` that is not above the message's priority
 */

/** Every key this transport touches, `global_keyprefix` included. */
export class KeySpace {
  readonly unacked: string;
  readonly unackedIndex: string;
  readonly mutex: string;
  /** zset: connection id → Unix time in seconds at which it counts as dead. */
  readonly workers: string;
  /** zset: delivery tag → Unix time in seconds at which it is due. */
  readonly delayed: string;
  /** hash: delivery tag → ready key, NUL, envelope. */
  readonly delayedMessages: string;
  /** `<prefix><exchange>[/<routing key>]` are the fan-out channels. */
  readonly fanoutPrefix: string;
  readonly fanoutPatterns: boolean;
  readonly #prefix: string;
  readonly #sep: string;
  readonly #steps: readonly number[];

  constructor(settings: RedisSettings, db: number) {
    const prefix = settings.globalKeyprefix;
    this.#prefix = prefix;
    this.#sep = settings.sep;
    this.#steps = settings.prioritySteps;
    this.unacked = prefix + settings.unackedKey;
    this.unackedIndex = prefix + settings.unackedIndexKey;
    this.mutex = prefix + settings.unackedMutexKey;
    this.workers = `${prefix}celeriac:workers`;
    this.delayed = `${prefix}celeriac:delayed`;
    this.delayedMessages = `${prefix}celeriac:delayed:messages`;
    this.fanoutPatterns = settings.fanoutPatterns;
    this.fanoutPrefix = prefix + settings.fanoutPrefix.replace('{db}', String(db));
  }

  /** Ready keys of a queue in the order in which they are served. */
  ready(queue: string): string[] {
    return this.#steps.map((step) => this.#key(queue, step));
  }

  /** Ready key for a message of this priority. Source: `Channel._q_for_pri`, `priority` of kombu's Redis transport. */
  readyFor(queue: string, priority: unknown): string {
    const number = Math.max(Math.min(Math.trunc(Number(priority)) || 0, 9), 0);
    let step = 0;
    for (const candidate of this.#steps) if (candidate <= number) step = candidate;
    return this.#key(queue, step);
  }

  #key(queue: string, step: number): string {
    return step === 0 ? this.#prefix + queue : `${this.#prefix}${queue}${this.#sep}${step}`;
  }

  binding(exchange: string): string {
    return `${this.#prefix}_kombu.binding.${exchange}`;
  }

  /** list: texts that were taken from the queue and cannot be messages. */
  quarantine(queue: string): string {
    return `${this.#prefix}celeriac:quarantine:${queue}`;
  }

  /** hash: delivery tag → ready key it was taken from, for what one connection holds. */
  owned(connectionId: string): string {
    return `${this.#prefix}celeriac:owned:${connectionId}`;
  }

  /** Text: a message with this key was put into the queue; expires. */
  once(queue: string, key: string): string {
    return `${this.#prefix}celeriac:once:${queue}:${key}`;
  }

  /** Set: the holders under which a message that had come back ran, those who died under it and who has it now; expires. */
  run(tag: string): string {
    return `${this.#prefix}celeriac:run:${tag}`;
  }

  /** How often a message was put back after its holder failed: `<this><delivery tag>`. */
  get restores(): string {
    return `${this.#prefix}celeriac:restores:`;
  }
}
