import { signatureOf } from '../canvas/call.ts';
import type { Retry } from '../errors.ts';
import { pauseForDebugger } from '../runtime/inspector.ts';
import type { Logger } from '../runtime/logger.ts';
import type { AnySignature } from '../canvas/types.ts';
import type { Celery } from './celery.ts';
import type { RetryOptions, TaskContext } from './context.ts';
import { customRecord, publishRetry } from './follow-up.ts';
import type { TaskRequest } from './request.ts';
import { growChord } from './grow-chord.ts';
import { sendReplacement } from './replace.ts';
import { planRetry } from './retry.ts';
import type { RegisteredTask } from './task.ts';
import type { RunControl } from './trace.ts';

/** The context of one run. */
export class RunContext implements TaskContext {
  readonly app: Celery;
  readonly request: TaskRequest;
  readonly #task: RegisteredTask;
  readonly #control: RunControl;
  #log: Logger | undefined;
  #joined = 0;

  constructor(app: Celery, task: RegisteredTask, request: TaskRequest, control: RunControl) {
    this.app = app;
    this.request = request;
    this.#task = task;
    this.#control = control;
  }

  get signal(): AbortSignal {
    return this.#control.signal;
  }

  get id(): string {
    return this.request.id;
  }
  get task(): string {
    return this.request.task;
  }
  get retries(): number {
    return this.request.retries;
  }

  get log(): Logger {
    this.#log ??= this.app.log.child({ taskId: this.id, task: this.task, rootId: this.request.rootId });
    return this.#log;
  }

  retry(options: RetryOptions & { readonly throw: false }): Promise<Retry>;
  retry(options?: RetryOptions): never;
  retry(options: RetryOptions & { readonly throw?: boolean } = {}): Promise<Retry> {
    if (this.request.calledDirectly && options.cause !== undefined) throw options.cause;
    const asked = planRetry(this.#task, this.request, options, this.app.clock.now());
    if (options.throw !== false) throw asked;
    if (this.request.calledDirectly) return Promise.resolve(asked);
    const sent = publishRetry(this.app, this.request, asked.retry).then(() => asked);
    this.app.lineage.current?.pending.push(sent);
    return sent;
  }

  debugger(): Promise<void> {
    return pauseForDebugger(this.app.env, this.log);
  }

  async update(state: string, meta: unknown = null): Promise<void> {
    if (this.request.calledDirectly) return;
    const record = customRecord(this.app, this.request, state, meta);
    if (this.#control.storeState) return this.#control.storeState(record);
    await (await this.app.backend()).store(record);
  }

  progress(current: number, total: number, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
    return this.update('PROGRESS', { current, total, ...more });
  }

  sendEvent(type: string, fields: Readonly<Record<string, unknown>> = {}): Promise<void> {
    return this.app.publishEvent(type, { uuid: this.id, ...fields });
  }

  async replace(signature: AnySignature): Promise<never> {
    throw await sendReplacement(this.app, this.request, signatureOf(signature));
  }

  async addToChord<S extends AnySignature>(signature: S, options: { readonly lazy?: boolean } = {}): Promise<S> {
    const member = await growChord(this.app, this.request, signatureOf(signature), this.#joined++);
    if (!options.lazy) await this.app.sender.send(member.toJSON());
    return member as unknown as S;
  }
}
