import type { TaskRequest } from '../app/request.ts';
import type { RegisteredTask } from '../app/task.ts';
import type { Job } from '../pools/pool.ts';
import type { Message } from '../protocol/message.ts';
import type { TaskBody, TaskHeaders } from '../protocol/task-message.ts';
import type { Delivery, LeaseHolder } from '../transports/transport.ts';
import type { Request } from './request.ts';

/** What the executor is told of. */
interface Told {
  /** The run really begins; see `Job.accept`. */
  accept(request: Request, pid: number): boolean | Promise<boolean>;
  /** The lease of its message is lost. */
  leaseLost(request: Request): void;
}

/** A request as its pool sees it. */
export class RequestJob implements Job, LeaseHolder {
  readonly #executor: Told;
  readonly #request: Request;
  followed = true;

  constructor(executor: Told, request: Request) {
    this.#executor = executor;
    this.#request = request;
  }

  get task(): RegisteredTask {
    return this.#request.task;
  }
  get request(): TaskRequest {
    return this.#request.view as TaskRequest;
  }
  get message(): Message {
    return this.#request.delivery.message;
  }
  get headers(): TaskHeaders {
    return this.#request.headers;
  }
  get body(): TaskBody | undefined {
    return this.#request.body;
  }
  accept(pid: number): boolean | Promise<boolean> {
    return this.#executor.accept(this.#request, pid);
  }
  leaseLost(delivery: Delivery): void {
    if (this.#request.delivery === delivery) this.#executor.leaseLost(this.#request);
  }
}
