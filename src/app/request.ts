import type { MessageProperties } from '../protocol/message.ts';
import type { Embed, SignatureDict, TaskBody, TaskHeaders } from '../protocol/task-message.ts';

/** How a message reached this worker. */
export interface DeliveryInfo {
  readonly exchange: string;
  readonly routingKey: string;
  readonly priority: number | null;
  readonly redelivered: boolean;
}

/** What a task may know about the run it is in (Celery's `task.request`). */
export interface TaskRequest {
  readonly id: string;
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly lang: string;
  readonly shadow: string | null;
  /** ISO 8601 */
  readonly eta: string | null;
  /** ISO 8601 */
  readonly expires: string | null;
  readonly group: string | null;
  readonly groupIndex: number | null;
  readonly retries: number;
  /** `[hard, soft]` in seconds, as the message has them. */
  readonly timelimit: readonly [hard: number | null, soft: number | null];
  readonly rootId: string | null;
  readonly parentId: string | null;
  readonly argsrepr: string;
  readonly kwargsrepr: string;
  readonly origin: string;
  /** null: the task's own setting decides. */
  readonly ignoreResult: boolean | null;
  readonly replacedTaskNesting: number;
  readonly stampedHeaders: readonly string[] | null;
  readonly stamps: Readonly<Record<string, unknown>>;
  readonly callbacks: readonly SignatureDict[] | null;
  readonly errbacks: readonly SignatureDict[] | null;
  readonly chain: readonly SignatureDict[] | null;
  readonly chord: SignatureDict | null;
  /** Custom message headers; null when there are none. */
  readonly headers: Readonly<Record<string, unknown>> | null;
  readonly deliveryInfo: DeliveryInfo;
  readonly replyTo: string | null;
  readonly correlationId: string | null;
  readonly properties: Readonly<MessageProperties>;
  /** Node name of the worker; null where there is none. */
  readonly hostname: string | null;
  readonly isEager: boolean;
  /** The handler was called like a function: nothing is stored, nothing is retried. */
  readonly calledDirectly: boolean;
}

/** What the message does not say about itself. */
export interface RequestOrigin {
  readonly deliveryInfo: DeliveryInfo;
  readonly replyTo?: string | null | undefined;
  readonly correlationId?: string | null | undefined;
  readonly properties?: Readonly<MessageProperties> | undefined;
  readonly hostname?: string | null | undefined;
  readonly isEager?: boolean | undefined;
  readonly calledDirectly?: boolean | undefined;
}

const NO_PROPERTIES: Readonly<MessageProperties> = Object.freeze({});
export const NO_EMBED: Embed = Object.freeze({ callbacks: null, errbacks: null, chain: null, chord: null });

/** Header names that are request attributes; everything else is a custom header (spec: messages.md 2.1). */
const STANDARD: ReadonlySet<string> = new Set([
  'lang',
  'task',
  'id',
  'shadow',
  'eta',
  'expires',
  'group',
  'group_index',
  'retries',
  'timelimit',
  'root_id',
  'parent_id',
  'argsrepr',
  'kwargsrepr',
  'origin',
  'ignore_result',
  'replaced_task_nesting',
  'stamped_headers',
  'stamps',
  'compression',
  'method',
  'meth',
  'args',
  'kwargs',
  'callbacks',
  'errbacks',
  'chain',
  'chord',
  'delivery_info',
  'reply_to',
  'correlation_id',
  'hostname',
  'properties',
  'is_eager',
  'called_directly',
  'headers',
  'taskset',
  'loglevel',
  'logfile',
  'utc',
  'children',
  'parent',
  'clock',
]);

/** What is left of the headers; null when nothing is. */
export function customHeaders(headers: TaskHeaders): Record<string, unknown> | null {
  let custom: Record<string, unknown> | null = null;
  for (const name in headers) {
    // Assigned, `__proto__` would become the prototype of what tasks and retries see.
    if (!STANDARD.has(name) && name !== '__proto__') (custom ??= {})[name] = headers[name];
  }
  return custom;
}

/** Puts a decoded message into the shape tasks see. */
export function taskRequest(headers: TaskHeaders, body: TaskBody, origin: RequestOrigin): TaskRequest {
  const embed = body.embed;
  return {
    id: headers.id,
    task: headers.task,
    args: body.args,
    kwargs: body.kwargs,
    lang: headers.lang,
    shadow: headers.shadow,
    eta: headers.eta,
    expires: headers.expires,
    group: headers.group,
    groupIndex: headers.group_index,
    retries: headers.retries,
    timelimit: headers.timelimit,
    rootId: headers.root_id,
    parentId: headers.parent_id,
    argsrepr: headers.argsrepr,
    kwargsrepr: headers.kwargsrepr,
    origin: headers.origin,
    ignoreResult: headers.ignore_result,
    replacedTaskNesting: headers.replaced_task_nesting,
    stampedHeaders: headers.stamped_headers,
    stamps: headers.stamps,
    callbacks: embed.callbacks,
    errbacks: embed.errbacks,
    chain: embed.chain,
    chord: embed.chord,
    headers: customHeaders(headers),
    deliveryInfo: origin.deliveryInfo,
    replyTo: origin.replyTo ?? null,
    correlationId: origin.correlationId ?? null,
    properties: origin.properties ?? NO_PROPERTIES,
    hostname: origin.hostname ?? null,
    isEager: origin.isEager ?? false,
    calledDirectly: origin.calledDirectly ?? false,
  };
}
