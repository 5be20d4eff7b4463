import type { ResultTuple } from '../protocol/result.ts';
import { JSON_RESULTS, type ResultCodec, type Stored } from '../protocol/result.ts';
import type { Clock } from '../runtime/clock.ts';
import type { DriverContext } from '../transports/transport.ts';
import type { BackendCapabilities, ResultBackend, ResultListener, ResultRecord, ResultWatch } from './backend.ts';
import { MemoryChords } from './memory-chords.ts';
import type { BackendOptions } from './drivers.ts';
import { Watchers } from './watchers.ts';

/*
 * Results in this process, and the reference for the backend contract.
 *
 * features   pushed results, chords; nothing survives the process
 * URL        memory://, cache+memory://
 *
 * Records are kept as the text other backends would store, so that what cannot be serialized fails here too.
 */

const CAPABILITIES: BackendCapabilities = {
  push: true,
  expiry: 'sweep',
  chord: 'native',
  persistent: false,
  shared: false,
};

interface Kept {
  readonly text: Stored;
  readonly success: boolean;
  readonly expiresAtMs: number;
}

class MemoryBackend implements ResultBackend {
  readonly name = 'memory';
  readonly displayUrl = 'memory://';
  readonly capabilities: BackendCapabilities = CAPABILITIES;
  readonly #clock: Clock;
  readonly #codec: ResultCodec;
  readonly #lifetimeMs: number;
  readonly #records = new Map<string, Kept>();
  readonly #groups = new Map<string, ResultTuple>();
  readonly #watchers = new Watchers();
  readonly chords: MemoryChords;

  constructor(options: BackendOptions, context: DriverContext) {
    this.#clock = context.clock;
    this.#codec = options.codec ?? JSON_RESULTS;
    this.#lifetimeMs = options.expiresMs ?? Infinity;
    this.chords = new MemoryChords(
      this.#codec,
      () => this.#clock.now(),
      this.#lifetimeMs,
      (groupId, group) => this.saveGroup(groupId, group),
    );
  }

  async store(record: ResultRecord): Promise<void> {
    if (this.#find(record.taskId)?.success) return;
    const text = this.#codec.encode(record);
    this.#records.set(record.taskId, {
      text,
      success: record.status === 'SUCCESS',
      expiresAtMs: this.#clock.now() + this.#lifetimeMs,
    });
    if (this.#watchers.has(record.taskId)) this.#watchers.tell(this.#codec.decode(text));
  }

  async load(taskId: string): Promise<ResultRecord | undefined> {
    const kept = this.#find(taskId);
    return kept && this.#codec.decode(kept.text);
  }

  async loadMany(taskIds: readonly string[]): Promise<(ResultRecord | undefined)[]> {
    return Promise.all(taskIds.map((taskId) => this.load(taskId)));
  }

  watch(taskId: string, listener: ResultListener): ResultWatch {
    let open = true;
    const tell: ResultListener = (record) => {
      if (open) listener(record);
    };
    this.#watchers.add(taskId, tell);
    const present = this.#find(taskId);
    if (present) tell(this.#codec.decode(present.text));
    return {
      ready: Promise.resolve(),
      close: () => {
        open = false;
        this.#watchers.remove(taskId, tell);
      },
    };
  }

  async forget(taskId: string): Promise<void> {
    this.#records.delete(taskId);
  }

  async saveGroup(groupId: string, group: ResultTuple): Promise<void> {
    this.#groups.set(groupId, group);
  }

  async loadGroup(groupId: string): Promise<ResultTuple | undefined> {
    return this.#groups.get(groupId);
  }

  async deleteGroup(groupId: string): Promise<void> {
    this.#groups.delete(groupId);
  }

  async cleanup(): Promise<number> {
    this.chords.sweep();
    const before = this.#records.size;
    for (const taskId of this.#records.keys()) this.#find(taskId);
    return before - this.#records.size;
  }

  async close(): Promise<void> {
    this.#watchers.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #find(taskId: string): Kept | undefined {
    const kept = this.#records.get(taskId);
    if (!kept || kept.expiresAtMs > this.#clock.now()) return kept;
    this.#records.delete(taskId);
    return undefined;
  }
}

export function createBackend(_url: string, options: BackendOptions, context: DriverContext): ResultBackend {
  return new MemoryBackend(options, context);
}
