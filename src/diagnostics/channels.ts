import { channel } from 'node:diagnostics_channel';

/*
 * What a worker does, for whoever measures it: channels of `node:diagnostics_channel`. Without a subscriber a channel
 * costs one comparison. Every app and worker of the process publishes here; the message says which.
 */

/** A task that has begun, in the worker's own process wherever it runs. */
export interface TaskStarted {
  /** Node name. */
  readonly worker: string;
  readonly taskId: string;
  /** Name as logs show it. */
  readonly task: string;
  readonly queue: string;
  /** Handed out before: its worker died or gave it back. */
  readonly redelivered: boolean;
  /**
   * Milliseconds between when it could have begun (it was sent, or its ETA) and when it did; undefined where the
   * producer does not say when it sent it.
   */
  readonly waitedMs: number | undefined;
}

/** A task that has ended, and whose result is stored. */
export interface TaskEnded {
  readonly worker: string;
  readonly taskId: string;
  readonly task: string;
  readonly queue: string;
  readonly state: 'SUCCESS' | 'FAILURE' | 'RETRY' | 'REVOKED' | 'REJECTED' | 'IGNORED';
  /** Milliseconds from its begin to its end; undefined when it never began. */
  readonly runtimeMs: number | undefined;
}

/** Header with the time of sending, Unix milliseconds; written where somebody measures in the producer's process. */
export const SENT_AT_HEADER = 'celeriac_sent_at';

interface Channel<T> {
  readonly hasSubscribers: boolean;
  publish(message: T): void;
  subscribe(listener: (message: unknown) => void): void;
  unsubscribe(listener: (message: unknown) => void): void;
}

export const taskStarted = channel('celeriac:task:started') as Channel<TaskStarted>;
export const taskEnded = channel('celeriac:task:ended') as Channel<TaskEnded>;

/** @returns a function that ends the subscription; harmless twice */
export function listen<T>(to: Channel<T>, listener: (message: T) => void): () => void {
  const receive = (message: unknown): void => listener(message as T);
  to.subscribe(receive);
  return () => to.unsubscribe(receive);
}
