import type { Duration } from '../runtime/duration.ts';
import type { Entity } from '../messaging/entity.ts';
import type { AnySignature } from './types.ts';

/** A moment: a `Date`, a `Temporal.Instant` or `ZonedDateTime`, or ISO 8601 text (without an offset it means UTC). */
export type Instant = Date | string | { readonly epochMilliseconds: number };

/** From now on (`'1h'`, or milliseconds), or a moment. */
export type Expiry = number | Instant;

/** How publishing is tried again while the broker is out of reach (setting `taskPublishRetryPolicy`). */
export interface RetryPolicy {
  /** Tries after the first one; null: until the deadline. @default 3 */
  readonly maxRetries?: number | null;
  /** Wait before the first further try. @default 0 */
  readonly intervalStart?: Duration;
  /** Added to the wait for each try. @default '0.2s' */
  readonly intervalStep?: Duration;
  /** Longest wait between two tries. @default '1s' */
  readonly intervalMax?: Duration;
}

/** What can be said about one call; Celery's `apply_async` options in camelCase. */
export interface CallOptions {
  /** Run no sooner than this long from now. */
  readonly countdown?: Duration;
  /** Run no sooner than this. */
  readonly eta?: Instant;
  /** Not worth running afterwards: a duration from now such as `'1h'`, or a moment. */
  readonly expires?: Expiry;
  /** Keyword arguments besides the positional ones. */
  readonly kwargs?: Readonly<Record<string, unknown>>;
  readonly queue?: string;
  readonly exchange?: string;
  readonly routingKey?: string;
  /** 0 to 255; which end is served first is the broker's business. */
  readonly priority?: number;
  /** @default a random UUID */
  readonly taskId?: string;
  /** Custom headers, visible in `ctx.request.headers`. */
  readonly headers?: Readonly<Record<string, unknown>>;
  /** Message properties of the broker's own, as SQS has `MessageGroupId`. */
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly serializer?: string;
  readonly compression?: string;
  /** Called with the result on success. */
  readonly link?: AnySignature | readonly AnySignature[];
  /** Called with this task's id on failure. */
  readonly linkError?: AnySignature | readonly AnySignature[];
  readonly ignoreResult?: boolean;
  /** Hard limit. */
  readonly timeLimit?: Duration;
  readonly softTimeLimit?: Duration;
  /** Name shown in logs and events instead of the task's own. */
  readonly shadow?: string;
  readonly replyTo?: string;
  /** Shown in logs and events instead of the arguments, to hide secrets. */
  readonly argsRepr?: string;
  readonly kwargsRepr?: string;
  /** `2`/`'persistent'` survives a broker restart. */
  readonly deliveryMode?: 1 | 2 | 'transient' | 'persistent';
  /** An unroutable message rejects instead of vanishing. */
  readonly mandatory?: boolean;
  /** Exchanges, queues and bindings that are declared before this message, besides those of its route. */
  readonly declare?: readonly Entity[];
  /** `false`: the first failure to reach the broker is final. @default setting `taskPublishRetry` */
  readonly retry?: boolean;
  readonly retryPolicy?: RetryPolicy;
  /** All tries together may take this long. @default '10s' */
  readonly publishTimeout?: Duration;
  /** Gives up publishing; the message may still arrive. */
  readonly signal?: AbortSignal;
  readonly rootId?: string;
  readonly parentId?: string;
  readonly groupId?: string;
  readonly groupIndex?: number;
}
