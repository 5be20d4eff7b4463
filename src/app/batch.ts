import type { CallOptions } from '../canvas/call-options.ts';
import type { AnySignature } from '../canvas/types.ts';
import type { AsyncResult } from '../result/async-result.ts';
import type { Celery } from './celery.ts';

/** Calls of a batch that are on their way to the broker at a time. */
const WINDOW = 1024;

/** Calls that are made one after the other and awaited together; see `Celery.batch()`. */
export class Batch {
  readonly #app: Celery;
  readonly #calls: Promise<AsyncResult<unknown>>[] = [];
  #pending = 0;
  #room: (() => void) | undefined;

  constructor(app: Celery) {
    this.#app = app;
  }

  /** Calls a task by its name. Resolves when there is room for another call, not when the broker has this one. */
  send(name: string, args: readonly unknown[] = [], options?: CallOptions): Promise<void> {
    return this.#add(this.#app.send(name, args, options));
  }

  /** Calls a complete signature. */
  add(signature: AnySignature): Promise<void> {
    return this.#add(this.#app.sendSignature(signature.toJSON(), {}, {}));
  }

  /** The handles, once every call is over. */
  async settle(): Promise<AsyncResult<unknown>[]> {
    await Promise.allSettled(this.#calls);
    return Promise.all(this.#calls);
  }

  #add(call: Promise<AsyncResult<unknown>>): Promise<void> {
    this.#calls.push(call);
    this.#pending++;
    const over = (): void => {
      this.#pending--;
      this.#room?.();
    };
    call.then(over, over);
    if (this.#pending < WINDOW) return Promise.resolve();
    return new Promise((resolve) => {
      const before = this.#room;
      this.#room = () => {
        this.#room = undefined;
        before?.();
        resolve();
      };
    });
  }
}
