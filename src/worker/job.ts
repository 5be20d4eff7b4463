import type { TaskRequest } from '../app/request.ts';
import type { RegisteredTask } from '../app/task.ts';
import type { Job } from '../pools/pool.ts';
import type { Message } from '../protocol/message.ts';
import type { TaskBody, TaskHeaders } from '../protocol/task-message.ts';
import type { Request } from './request.ts';

/** Asked when the run really begins; see `Job.accept`. */
interface Accepting {
  accept(request: Request, pid: number): boolean | Promise<boolean>;
}

/** A request as its pool sees it. */
export class RequestJob implements Job {
  readonly #executor: Accepting;
  readonly #request: Request;
  followed = true;

  constructor(executor: Accepting, request: Request) {
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
}
