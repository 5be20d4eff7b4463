import type { ResultBackend } from '../backends/backend.ts';
import type { AsyncResult, GroupResult } from '../result/async-result.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Random } from '../runtime/random.ts';
import type { SerializerRegistry } from '../serializers/registry.ts';
import type { Transport } from '../transports/transport.ts';
import type { CallOptions } from '../canvas/call-options.ts';
import type { Signature } from '../canvas/types.ts';
import type { Config, ConfigInput } from './config.ts';
import type { Control } from './control.ts';
import type { Lamport } from './lamport.ts';
import type { Lineage } from './lineage.ts';
import type { Publisher } from './publisher.ts';
import type { QueueTable } from './queues.ts';
import type { TaskRegistry } from './registry.ts';
import type { SignalHandler, SignalHub, SignalName, SignalOptions } from './signals.ts';
import type { DefineTask, RemoteTask, TaskOf } from './task.ts';
import type { TaskOptions } from './task-options.ts';

export interface CeleryOptions extends ConfigInput {
  readonly main?: string;
  /** Broker URL, or several; a transport of your own. @default the embedded `sqlite://` */
  readonly broker?: string | readonly string[] | Transport;
  /** Result backend URL, or a backend of your own. */
  readonly backend?: string | ResultBackend;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
  /** Read for overrides such as `CELERY_BROKER_URL`. @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export declare class Celery {
  constructor(options?: CeleryOptions);
  readonly main: string;
  readonly conf: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly tasks: TaskRegistry;
  readonly serializers: SerializerRegistry;
  readonly queues: QueueTable;
  readonly signals: SignalHub;
  readonly lineage: Lineage;
  readonly lamport: Lamport;
  readonly publisher: Publisher;
  /** Identity of this app in this process: reply queue name and `reply_to`. */
  readonly oid: string;
  /** `gen<pid>@<host>` */
  readonly origin: string;
  get control(): Control;
  readonly task: DefineTask;
  remoteTask<F extends (...args: never[]) => unknown>(name: string, options?: TaskOptions): TaskOf<F>;
  send<T = unknown>(name: string, args?: readonly unknown[], options?: CallOptions): Promise<AsyncResult<T>>;
  signature(dict: SignatureDict): Signature<unknown[], unknown, AsyncResult<unknown>>;
  result<T = unknown>(id: string): AsyncResult<T>;
  resultFrom<T = unknown>(tuple: ResultTuple): AsyncResult<T> | GroupResult<unknown[]>;
  on<N extends SignalName>(event: N, handler: SignalHandler<N>, options?: SignalOptions): () => void;
  /** Transport for consuming (`brokerReadUrl`). Connects to nothing. */
  transport(): Promise<Transport>;
  /** Transport for publishing (`brokerWriteUrl`). */
  writeTransport(): Promise<Transport>;
  backend(): Promise<ResultBackend>;
  ready(): Promise<void>;
  discover(glob: string): Promise<string[]>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export type { RemoteTask };
