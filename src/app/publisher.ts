import type { Message } from '../protocol/message.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import type { Entity } from '../messaging/entity.ts';
import type { Destination, PublishOptions } from '../transports/transport.ts';

/** One task call, options under their names on the wire (as in signatures). */
export interface TaskCall {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly options: SignatureDict['options'];
}

/** What a publish went out as. */
export interface Published {
  readonly id: string;
  readonly ignored: boolean;
}

/** Limits of one publish. */
export interface PublishLimits {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

export declare class Publisher {
  /** Resolves when the broker owns the message. */
  publish(call: TaskCall, limits?: PublishLimits): Promise<Published>;
  /** For events and control: `message` as it is; `declares` first, once per connection. */
  publishRaw(
    message: Message,
    to: Destination,
    options?: PublishOptions & { readonly declares?: readonly Entity[]; readonly timeoutMs?: number },
  ): Promise<void>;
  close(): Promise<void>;
}
