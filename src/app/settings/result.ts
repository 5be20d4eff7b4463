import type { SettingsObject, SettingsOf } from '../setting.ts';

/** Results (general). */
export interface ResultSettings {
  /** Result backend URL or name. */
  readonly resultBackend: string | null;
  /** Backend options (global_keyprefix, retry_policy, master_name, …). */
  readonly resultBackendTransportOptions: SettingsObject;
  /** Result serializer. */
  readonly resultSerializer: string;
  /** Reserved, unused. */
  readonly resultCompression: string | null;
  /** Result lifetime; null/0 = never. */
  readonly resultExpires: number | null;
  /** Store name, args, worker, …. */
  readonly resultExtended: boolean;
  /** Successes that a client keeps once it has read them; -1 none, 0 all. */
  readonly resultCacheMax: number;
  /** rpc results persistent. */
  readonly resultPersistent: boolean | null;
  /** Timeout joining chord results. */
  readonly resultChordJoinTimeout: number;
  /** Delay of chord_unlock retries. */
  readonly resultChordRetryInterval: number;
  /** Unused legacy exchange name. */
  readonly resultExchange: string;
  /** Unused legacy exchange type. */
  readonly resultExchangeType: string;
  /** Retry recoverable backend errors. */
  readonly resultBackendAlwaysRetry: boolean;
  /** Max such retries. */
  readonly resultBackendMaxRetries: number;
  /** Backoff base. */
  readonly resultBackendBaseSleepBetweenRetriesMs: number;
  /** Backoff ceiling. */
  readonly resultBackendMaxSleepBetweenRetriesMs: number;
  /** Share one backend object between threads. */
  readonly resultBackendThreadSafe: boolean;
}

export const RESULT_SETTINGS: SettingsOf<ResultSettings> = {
  resultBackend: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'URL',
    meaning: 'Result backend URL or name',
    env: 'CELERY_RESULT_BACKEND',
    flag: '--result-backend',
    status: 'used',
  },
  resultBackendTransportOptions: {
    type: 'object',
    default: {},
    meaning: 'Backend options (global_keyprefix, retry_policy, master_name, …)',
    status: 'used',
  },
  resultSerializer: { type: 'text', default: 'json', meaning: 'Result serializer', status: 'used' },
  resultCompression: { type: 'text', default: null, nullable: true, meaning: 'Reserved, unused', status: 'accepted' },
  resultExpires: {
    type: 'seconds',
    default: 86_400,
    nullable: true,
    unit: 's',
    meaning: 'Result lifetime; null/0 = never',
    oldName: 'CELERY_TASK_RESULT_EXPIRES',
    status: 'used',
  },
  resultExtended: { type: 'bool', default: false, meaning: 'Store name, args, worker, …', status: 'used' },
  resultCacheMax: {
    type: 'int',
    default: -1,
    unit: 'count',
    meaning: 'Successes that a client keeps once it has read them; -1 none, 0 all',
    oldName: 'CELERY_MAX_CACHED_RESULTS',
    status: 'used',
  },
  resultPersistent: {
    type: 'bool',
    default: null,
    nullable: true,
    meaning: 'rpc results persistent',
    status: 'used',
  },
  resultChordJoinTimeout: {
    type: 'seconds',
    default: 3,
    unit: 's',
    meaning: 'Timeout joining chord results',
    status: 'used',
  },
  resultChordRetryInterval: {
    type: 'seconds',
    default: 1,
    unit: 's',
    meaning: 'Delay of chord_unlock retries',
    status: 'used',
  },
  resultExchange: {
    type: 'text',
    default: 'celeryresults',
    meaning: 'Unused legacy exchange name',
    status: 'accepted',
  },
  resultExchangeType: { type: 'text', default: 'direct', meaning: 'Unused legacy exchange type', status: 'accepted' },
  resultBackendAlwaysRetry: {
    type: 'bool',
    default: false,
    meaning: 'Retry recoverable backend errors',
    status: 'used',
  },
  resultBackendMaxRetries: {
    type: 'count',
    default: Infinity,
    unit: 'count',
    meaning: 'Max such retries',
    status: 'used',
  },
  resultBackendBaseSleepBetweenRetriesMs: {
    type: 'number',
    default: 10,
    unit: 'ms',
    meaning: 'Backoff base',
    status: 'used',
  },
  resultBackendMaxSleepBetweenRetriesMs: {
    type: 'number',
    default: 10_000,
    unit: 'ms',
    meaning: 'Backoff ceiling',
    status: 'used',
  },
  resultBackendThreadSafe: {
    type: 'bool',
    default: false,
    meaning: 'Share one backend object between threads',
    status: 'accepted',
  },
};
