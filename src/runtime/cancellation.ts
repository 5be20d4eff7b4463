/** Whatever can be asked for a signal, made when it is asked for. An `AbortController` is one. */
export interface Cancellable {
  readonly signal: AbortSignal;
}

/**
 * An `AbortController` that costs nothing until somebody reads its signal: most tasks never do, and a signal for
 * each of them is a good part of what a short task costs.
 */
export class Cancellation implements Cancellable {
  #controller: AbortController | undefined;
  #aborted = false;
  #reason: unknown;
  #listener: ((reason: unknown) => void) | undefined;

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** For the one pool that runs the task elsewhere; cheaper than a listener on the signal. */
  whenAborted(listener: (reason: unknown) => void): void {
    this.#listener = listener;
    if (this.#aborted) listener(this.#reason);
  }

  /** The first reason stays. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
    this.#listener?.(reason);
  }
}
