import type { Outcome } from '../app/trace.ts';
import type { Job } from '../pools/pool.ts';
import { decodeBody, decompressMessage } from '../protocol/decode.ts';
import type { WorkerParts } from './parts.ts';
import { viewOf, type Request } from './request.ts';

/** Reads the bodies of requests: late, and not at all where a child reads them. */
export class Bodies {
  readonly #parts: WorkerParts;
  readonly #accept: ReadonlySet<string>;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#accept = parts.app.serializers.acceptSet(parts.app.conf.acceptContent);
  }

  /** One that is not compressed. @throws when it is malformed */
  readNow(request: Request): void {
    request.body = decodeBody(request.delivery.message, this.#parts.app.serializers, this.#accept);
  }

  /** @throws when it is malformed */
  async read(request: Request): Promise<void> {
    if (request.headers.compression === undefined) return this.readNow(request);
    const { conf, serializers } = this.#parts.app;
    const message = await decompressMessage(request.delivery.message, conf.maxDecompressedBytes);
    request.body = decodeBody(message, serializers, this.#accept);
  }

  /** For what follows a run elsewhere. Never rejects. */
  async readAgain(request: Request): Promise<void> {
    try {
      await this.read(request);
      request.view = viewOf(request.delivery, request.headers, request.body, this.#parts.hostname);
    } catch (error) {
      this.#parts.log.error({ error, taskId: request.id }, 'the message of a task could not be read');
    }
  }

  /** Whether anything that follows looks at the arguments, or at what is to be sent next. */
  isNeeded(request: Request, job: Job, outcome: Outcome): boolean {
    if (outcome.kind !== 'success' || job.followed) return true;
    const { signals, conf } = this.#parts.app;
    if (conf.resultExtended || signals.has('taskSuccess')) return true;
    const { hooks } = request.task.options;
    return hooks.onSuccess !== undefined || hooks.afterReturn !== undefined;
  }
}
