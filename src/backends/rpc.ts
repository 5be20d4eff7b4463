import { ImproperlyConfigured, NotSupported } from '../errors.ts';
import { queue, type Queue } from '../messaging/entity.ts';
import type { Message } from '../protocol/message.ts';
import { recordOfMeta, type ResultTuple } from '../protocol/result.ts';
import type { DriverContext } from '../transports/transport.ts';
import type { BackendCapabilities, ResultBackend, ResultListener, ResultRecord, ResultWatch } from './backend.ts';
import type { BackendOptions, CreateBackend, ResultBroker } from './drivers.ts';
import { Inbox } from './rpc/inbox.ts';
import { Unread } from './rpc/unread.ts';
import { Watchers } from './watchers.ts';

/*
 * Results as messages on the queue of whoever sent the task, over the broker of the app.
 *
 * Features   pushed results; only the process that sent a task can read its result
 * URL        rpc://
 * Settings   resultPersistent: messages survive a broker restart, the queue (as in Celery) does not;
 *            resultExpires: how long an abandoned queue is kept
 * Limits     no chords and no saved groups; results that nobody has asked for yet are kept up to a bound
 *
 * The queue is read from the first message on whose result is wanted. Differs: Celery begins when a result is asked
 * for, and the results of who never asks pile up in the broker.
 *
 * Source: celery.backends.rpc.
 */

const CAPABILITIES: BackendCapabilities = {
  push: true,
  expiry: 'native',
  chord: 'none',
  persistent: false,
  shared: false,
};

/** The queue on which results for an app arrive, as Celery declares it. */
export function rpcQueue(oid: string, expiresMs: number | null): Queue {
  return queue(oid, { durable: false, autoDelete: true, ...(expiresMs ? { expiresMs } : {}) });
}

function refuse(what: string): never {
  throw new NotSupported(
    `${what}: results on rpc:// are messages to one process. Set resultBackend to a store such as redis://`,
  );
}

class RpcBackend implements ResultBackend {
  readonly name = 'rpc';
  readonly displayUrl = 'rpc://';
  readonly capabilities: BackendCapabilities = CAPABILITIES;
  readonly #broker: ResultBroker;
  readonly #context: DriverContext;
  readonly #inbox: Inbox;
  readonly #unread: Unread;
  readonly #watchers = new Watchers();

  constructor(broker: ResultBroker, options: BackendOptions, context: DriverContext) {
    this.#broker = broker;
    this.#context = context;
    this.#unread = new Unread(options.expiresMs ?? Infinity, context);
    this.#inbox = new Inbox({
      queue: rpcQueue(broker.oid, options.expiresMs),
      transport: broker.transport,
      receive: (message) => this.#receive(message),
      context,
    });
  }

  prepare(): true | Promise<void> {
    return this.#inbox.listening || this.#inbox.attempt();
  }

  async store(record: ResultRecord): Promise<void> {
    const { replyTo, taskId, status, result, traceback, children } = record;
    if (!replyTo) return;
    const { body, contentType, contentEncoding } = this.#broker.encode({
      task_id: taskId,
      status,
      result,
      traceback,
      children,
    });
    await this.#broker.publish(
      {
        body,
        contentType,
        contentEncoding,
        headers: {},
        properties: {
          correlationId: record.correlationId || taskId,
          deliveryMode: this.#broker.persistent ? 2 : 1,
          priority: 0,
        },
      },
      { exchange: '', routingKey: replyTo },
    );
  }

  #receive(message: Message): void {
    let record: ResultRecord;
    try {
      record = recordOfMeta(this.#broker.decode(message));
    } catch (error) {
      this.#context.log.warn(
        { error, taskId: message.properties.correlationId, contentType: message.contentType },
        'a result cannot be read and was dropped',
      );
      return;
    }
    if (this.#unread.put(record, message.body.length)) this.#watchers.tell(record);
  }

  async load(taskId: string): Promise<ResultRecord | undefined> {
    if (!this.#inbox.listening) await this.#inbox.attempt();
    return this.#unread.get(taskId);
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
    const present = this.#unread.get(taskId);
    if (present) tell(present);
    const ready = this.#inbox.opened();
    ready.catch(() => {});
    return {
      ready,
      close: () => {
        open = false;
        this.#watchers.remove(taskId, tell);
      },
    };
  }

  async forget(taskId: string): Promise<void> {
    this.#unread.delete(taskId);
  }

  async saveGroup(): Promise<void> {
    refuse('a group cannot be saved');
  }
  async loadGroup(): Promise<ResultTuple | undefined> {
    return refuse('a group cannot be restored');
  }
  async deleteGroup(): Promise<void> {
    refuse('a group cannot be deleted');
  }

  async cleanup(): Promise<number> {
    return 0;
  }

  async close(): Promise<void> {
    await this.#inbox.close();
    this.#watchers.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export const createBackend: CreateBackend = (_url, options, context) => {
  if (options.broker === undefined) {
    throw new ImproperlyConfigured('rpc:// works with the broker of an app alone: give it to Celery as its backend');
  }
  return new RpcBackend(options.broker, options, context);
};
