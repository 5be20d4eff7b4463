import type { Delivery } from '../transports/transport.ts';
import type { WorkerParts } from './parts.ts';
import type { Request } from './request.ts';

/** Late-ack requests that ran when their connection was lost: their messages come again. */
export class Orphans {
  readonly #log: WorkerParts['log'];
  readonly #byId = new Map<string, Request>();

  constructor({ log }: WorkerParts) {
    this.#log = log;
  }

  /** Forgets earlier ones: a message that has not come again by the next loss comes to somebody else. */
  remember(running: Iterable<Request>): void {
    this.#byId.clear();
    for (const request of running) {
      if (!request.acknowledged && request.startedMs !== undefined) this.#byId.set(request.id, request);
    }
  }

  /** Hands them over: their messages may come to anybody. */
  take(): readonly Request[] {
    const taken = [...this.#byId.values()];
    this.#byId.clear();
    return taken;
  }

  /** The same message again while its task still runs here: the run keeps going and settles the new delivery. */
  adopt(delivery: Delivery, id: string): boolean {
    if (this.#byId.size === 0) return false;
    const request = this.#byId.get(id);
    if (!request) return false;
    this.#byId.delete(id);
    if (request.state !== 'running' || request.leaseLost) return false;
    request.delivery = delivery;
    delivery.holder = request.job;
    this.#log.info({ taskId: id, task: request.displayName }, 'task kept running across a reconnect');
    return true;
  }
}
