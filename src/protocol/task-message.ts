/*
 * What a task message says, whichever protocol version carried it (spec: messages.md 2 to 5).
 * Names on this level are the wire's own (snake_case): these objects are what JSON holds.
 */

/** A serialized call; composite canvases nest inside `kwargs`. */
export interface SignatureDict {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly options: Readonly<Record<string, unknown>>;
  readonly subtask_type: string | null;
  readonly immutable: boolean;
}

/** Third element of a protocol 2 body. */
export interface Embed {
  readonly callbacks: readonly SignatureDict[] | null;
  readonly errbacks: readonly SignatureDict[] | null;
  /** The rest of a chain in reverse order: the last element runs next. */
  readonly chain: readonly SignatureDict[] | null;
  /** Body of the chord whose header this task belongs to. */
  readonly chord: SignatureDict | null;
}

export interface TaskBody {
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly embed: Embed;
}

/** Headers of protocol 2 in the order Python writes them. Custom headers follow at the same level. */
export interface TaskHeaders {
  readonly lang: string;
  readonly task: string;
  readonly id: string;
  readonly shadow: string | null;
  /** ISO 8601 */
  readonly eta: string | null;
  /** ISO 8601 */
  readonly expires: string | null;
  readonly group: string | null;
  readonly group_index: number | null;
  readonly retries: number;
  /** `[hard, soft]` in seconds, in this order. */
  readonly timelimit: readonly [hard: number | null, soft: number | null];
  readonly root_id: string | null;
  readonly parent_id: string | null;
  readonly argsrepr: string;
  readonly kwargsrepr: string;
  readonly origin: string;
  /** null: the worker decides by its own task's setting. */
  readonly ignore_result: boolean | null;
  readonly replaced_task_nesting: number;
  readonly stamped_headers: readonly string[] | null;
  readonly stamps: Readonly<Record<string, unknown>>;
  /** MIME type of the compression; only where the body is compressed. */
  readonly compression?: string;
  readonly [custom: string]: unknown;
}
