import type { ResultTuple } from '../protocol/result.ts';

/*
 * record   what a backend keeps about one task (Celery's "meta")
 * watch    a subscription to one id; reads first, so that nothing stored meanwhile is missed
 */

export interface BackendCapabilities {
  /** Waiting clients are told; otherwise the client polls. */
  readonly push: boolean;
  /** `native`: the store drops old results itself; `sweep`: `cleanup()` does. */
  readonly expiry: 'native' | 'sweep' | 'none';
  readonly chord: 'native' | 'counter' | 'unlock' | 'none';
  readonly persistent: boolean;
  /** Other processes can read what this one stored. */
  readonly shared: boolean;
}

export interface ResultRecord {
  readonly taskId: string;
  /** PENDING, STARTED, SUCCESS, FAILURE, RETRY, REVOKED or a state of the application's own. */
  readonly status: string;
  /** The value, an exception record (`protocol/exception.ts`) where the state has one, or a state's meta. */
  readonly result: unknown;
  readonly traceback: string | null;
  readonly children: readonly ResultTuple[];
  /** ISO 8601; null while not ready. */
  readonly dateDone: string | null;
  readonly groupId?: string | null | undefined;
  readonly parentId?: string | null | undefined;
  /** Only with `resultExtended`. */
  readonly extended?: ExtendedFields | undefined;
}

export interface ExtendedFields {
  readonly name: string | null;
  readonly args: unknown;
  readonly kwargs: unknown;
  readonly worker: string | null;
  readonly retries: number | null;
  readonly queue: string | null;
  readonly stamps?: Readonly<Record<string, unknown>> | undefined;
}

export interface ResultWatch {
  /** Resolves when the subscription stands and the present record, if any, has been reported. */
  readonly ready: Promise<void>;
  /** Harmless twice. */
  close(): void;
}

export type ResultListener = (record: ResultRecord) => void;

export interface ResultBackend extends AsyncDisposable {
  /** Driver name as Celery has it. */
  readonly name: string;
  readonly displayUrl: string;
  readonly capabilities: BackendCapabilities;
  /**
   * Stores the record and tells watchers. A stored SUCCESS is never overwritten.
   * Writes of one tick travel together; each resolves when its own is stored.
   */
  store(record: ResultRecord): Promise<void>;
  load(taskId: string): Promise<ResultRecord | undefined>;
  /** In the order of the ids. */
  loadMany(taskIds: readonly string[]): Promise<(ResultRecord | undefined)[]>;
  /** Reports the present record, then every later one, until closed. Survives reconnects without a gap. */
  watch(taskId: string, listener: ResultListener): ResultWatch;
  forget(taskId: string): Promise<void>;
  saveGroup(groupId: string, group: ResultTuple): Promise<void>;
  loadGroup(groupId: string): Promise<ResultTuple | undefined>;
  deleteGroup(groupId: string): Promise<void>;
  /** Removes what has expired where `expiry` is `sweep`; resolves to how many. */
  cleanup(): Promise<number>;
  close(): Promise<void>;
}
