import type { Logger } from '../runtime/logger.ts';
import type { Request } from './request.ts';

/**
 * Listens to how the settling of messages ends. Brokers that take many at once give one promise for all of them: it has
 * one listener.
 */
export class Acknowledgements {
  readonly #log: Logger;
  #settling: Promise<void> | undefined;
  #requests: Request[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  follow(request: Request, settling: Promise<void>): void {
    if (settling === this.#settling) {
      this.#requests.push(request);
      return;
    }
    const requests = [request];
    this.#settling = settling;
    this.#requests = requests;
    settling.then(
      () => this.#forget(settling),
      (error: unknown) => {
        this.#forget(settling);
        for (const one of requests) this.#unsettled(one, error);
      },
    );
  }

  #forget(settled: Promise<void>): void {
    if (this.#settling !== settled) return;
    this.#settling = undefined;
    this.#requests = [];
  }

  #unsettled(request: Request, error: unknown): void {
    this.#log.warn(
      { error, taskId: request.id, task: request.displayName },
      'the broker was gone before the message was settled: it will be delivered again',
    );
  }
}
