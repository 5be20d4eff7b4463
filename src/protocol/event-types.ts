/*
 * The events that workers and producers publish, by type. Keys are the wire's own; what is not listed is a custom
 * event. Source: celery.events, and what Celery 5.2 to 5.6 was recorded to send.
 */

/** What every event has once it was received. */
interface Received {
  /** Node name; `gen<pid>@<host>` for producers. */
  readonly hostname: string;
  readonly pid?: number;
  /** Hours west of UTC at the sender's. */
  readonly utcoffset?: number;
  /** Logical clock; null when the sender has none. */
  readonly clock: number | null;
  /** Unix time in seconds when it was sent, in this machine's time zone. */
  readonly timestamp: number;
  /** Unix time in seconds when it came. */
  readonly local_received: number;
}

interface WorkerFields extends Received {
  /** Seconds between heartbeats. */
  readonly freq?: number;
  /** Tasks that run now. */
  readonly active?: number;
  /** Tasks that were begun since the worker started. */
  readonly processed?: number;
  readonly loadavg?: readonly number[];
  readonly sw_ident?: string;
  readonly sw_ver?: string;
  readonly sw_sys?: string;
}

interface TaskFields extends Received {
  /** Id of the task. */
  readonly uuid: string;
}

interface TaskIdentity extends TaskFields {
  readonly name: string;
  /** Representation as text, shortened. */
  readonly args: string;
  readonly kwargs: string;
  readonly root_id?: string | null;
  readonly parent_id?: string | null;
  readonly retries: number;
  /** ISO 8601. */
  readonly eta: string | null;
  readonly expires: string | null;
}

interface TaskProblem extends TaskFields {
  /** Representation of the exception. */
  readonly exception: string;
  readonly traceback?: string | null;
}

/** Every event of Celery by its type. */
export interface EventTypes {
  'worker-online': WorkerFields;
  'worker-heartbeat': WorkerFields;
  'worker-offline': WorkerFields;
  'worker-elect': Received & { readonly id: string; readonly topic: string; readonly action: unknown };
  'worker-elect-ack': Received & { readonly id: string };
  'task-sent': TaskIdentity & {
    readonly queue: string | null;
    readonly exchange: string;
    readonly routing_key: string;
  };
  'task-received': TaskIdentity;
  'task-started': TaskFields;
  /** `runtime` in seconds. */
  'task-succeeded': TaskFields & { readonly result: string; readonly runtime: number };
  'task-failed': TaskProblem;
  'task-retried': TaskProblem;
  'task-rejected': TaskFields & { readonly requeue: boolean };
  'task-revoked': TaskFields & {
    readonly terminated: boolean;
    readonly signum: number | null;
    readonly expired: boolean;
  };
  'task-cancelled': TaskFields;
}

/** An event of Celery's own; `type` says which. */
type KnownEvent = { [T in keyof EventTypes]: EventTypes[T] & { readonly type: T } }[keyof EventTypes];

/** An event of Celery as it was received. For events of your own see `app.events()`. */
export type CeleryEvent = KnownEvent;
