import type { TaskHeaders } from '../protocol/task-message.ts';
import type { Clock } from '../runtime/clock.ts';

/** How many revoked ids are kept, and for how long. Source: `CELERY_WORKER_REVOKES_MAX`, `CELERY_WORKER_REVOKE_EXPIRES`. */
export interface RevokeLimits {
  /** @default 50000 */
  readonly max?: number | undefined;
  /** Milliseconds. @default three hours */
  readonly lifetimeMs?: number | undefined;
}

const MOST = 50_000;
const LIFETIME_MS = 10_800_000;
/** Stamps are never purged by age, so their number is bounded: names, and values of each. */
const MOST_STAMPS = 10_000;

/** Ids of tasks that must not run, newest last, bounded in number and age; and stamps. Source: celery.worker.state. */
export class RevokedIds {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #lifetimeMs: number;
  readonly #ids = new Map<string, number>();
  readonly #stamps = new Map<string, Set<unknown>>();
  /** Counts changes, so that a state file is written only after one. */
  changes = 0;

  constructor(clock: Clock, limits: RevokeLimits = {}) {
    this.#clock = clock;
    this.#max = limits.max ?? MOST;
    this.#lifetimeMs = limits.lifetimeMs ?? LIFETIME_MS;
  }

  has(id: string): boolean {
    return this.#ids.size > 0 && this.#ids.has(id);
  }

  /** Whether this task must not run, by its id or one of its stamps. */
  covers(headers: TaskHeaders): boolean {
    return this.has(headers.id) || (this.#stamps.size > 0 && this.#stamped(headers));
  }

  /** Source: `Request.revoked`: only the first stamp name that anything was revoked for is looked at. */
  #stamped({ stamped_headers: names, stamps }: TaskHeaders): boolean {
    for (const name of names ?? []) {
      const values = this.#stamps.get(name);
      if (values) return valuesOf(stamps[name]).some((value) => values.has(value));
    }
    return false;
  }

  /** @param ageMs how long ago it was revoked, where another worker or a file tells */
  add(id: string, ageMs = 0): void {
    this.#ids.delete(id);
    this.#ids.set(id, this.#clock.monotonic() - ageMs);
    this.changes++;
    if (this.#ids.size > this.#max) this.#purge();
  }

  /** Adds to what is revoked for a stamp name. */
  addStamp(name: string, values: unknown): void {
    const known = this.#stamps.get(name) ?? new Set();
    if (!this.#stamps.has(name) && this.#stamps.size >= MOST_STAMPS) drop(this.#stamps);
    this.#stamps.set(name, known);
    for (const value of valuesOf(values)) {
      if (known.size >= MOST_STAMPS) drop(known);
      known.add(value);
    }
  }

  /** Oldest first. */
  list(): string[] {
    this.#purge();
    return [...this.#ids.keys()];
  }

  /** Id and age in milliseconds, oldest first. */
  *ages(): Generator<readonly [id: string, ageMs: number]> {
    this.#purge();
    const nowMs = this.#clock.monotonic();
    for (const [id, at] of this.#ids) yield [id, nowMs - at];
  }

  /** As `hello` exchanges them: id → [seconds, id]. Never a whole number, which Python peers refuse. */
  exchange(): Record<string, [number, string]> {
    this.#purge();
    const map: Record<string, [number, string]> = {};
    for (const [id, at] of this.#ids) map[id] = [at / 1000 + 1e-6, id];
    return map;
  }

  /** Takes over what another worker exchanged; its times are of its own clock and mean nothing here. */
  merge(theirs: unknown): void {
    if (typeof theirs !== 'object' || theirs === null) return;
    for (const id of Object.keys(theirs)) if (!this.#ids.has(id)) this.add(id);
  }

  #purge(): void {
    const oldest = this.#clock.monotonic() - this.#lifetimeMs;
    for (const [id, at] of this.#ids) {
      if (at > oldest && this.#ids.size <= this.#max) return;
      this.#ids.delete(id);
    }
  }
}

/** Python's `maybe_list`. */
export function valuesOf(value: unknown): readonly unknown[] {
  if (value === null || value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

function drop(oldest: Set<unknown> | Map<string, unknown>): void {
  for (const key of oldest.keys()) {
    oldest.delete(key as string);
    return;
  }
}
