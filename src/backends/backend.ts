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
  /** `reply_to` of the task's message, for results that travel as messages; stores keep neither. */
  readonly replyTo?: string | null | undefined;
  readonly correlationId?: string | null | undefined;
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

/** A member of a chord's header that has ended. */
export interface ChordPart {
  readonly taskId: string;
  /** Place in the header; null where the message had none: those come last. */
  readonly index: number | null;
  /** SUCCESS, FAILURE or REVOKED. */
  readonly state: string;
  /** The value, or an exception record. */
  readonly result: unknown;
}

/** For so long a claim keeps others from sending the body: who dies with it is followed by another after this. */
export const CHORD_CLAIM_MS = 5_000;

/**
 * Counts the ended members of chords. Every call may be repeated: the same member counts once.
 *
 * size    how many members end until the body is due
 * owner   the member that completed the header; delivered again, it owns the body still, nobody else does
 * claim   names one run of the owner: of two runs at once only one sends the body
 */
export interface ChordStore {
  /** Before the last member is sent. @param group the header's handle, to be kept where `add()` needs it later */
  begin(groupId: string, size: number, group: ResultTuple): Promise<void>;
  /**
   * Counts a member.
   * @param claim a name for this run of the member
   * @returns all members in the order of the header for whom has to send the body; `claimed` where another run of the
   *   owner does so: ask again until that ended; undefined for everybody else
   */
  add(groupId: string, part: ChordPart, claim: string): Promise<readonly ChordPart[] | 'claimed' | undefined>;
  /** `memberId` joins the header of a chord that has begun, and counts as `size` members. */
  grow(groupId: string, memberId: string, size: number): Promise<void>;
  /** The body was sent, or has failed. */
  end(groupId: string): Promise<void>;
}

export type ResultListener = (record: ResultRecord) => void;

export interface ResultBackend extends AsyncDisposable {
  /** Driver name as Celery has it. */
  readonly name: string;
  readonly displayUrl: string;
  readonly capabilities: BackendCapabilities;
  /**
   * Awaited before a message goes out whose result is wanted, where results come to this process alone: `true` while
   * they can arrive. @throws {OperationalError} when the way could not be opened; another call tries again
   */
  prepare?(): true | Promise<void>;
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
  /** Only where `capabilities.chord` is `native`. */
  readonly chords?: ChordStore | undefined;
  /** Removes what has expired where `expiry` is `sweep`; resolves to how many. */
  cleanup(): Promise<number>;
  close(): Promise<void>;
}
