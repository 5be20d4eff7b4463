import type { Duration } from '../runtime/duration.ts';

/*
 * setting   one entry of the table: what it may hold, its default, unit, names and meaning
 * config    every setting with its value, checked and frozen
 * layer     one source of values: built-in, added defaults, a loaded object, set at run time
 */

/** A nested object of a setting; its keys are handed on as they are. */
export type SettingsObject = Readonly<Record<string, unknown>>;

/** Orders the URLs of a broker for one round of connecting. */
export type FailoverStrategy = (urls: readonly string[]) => Iterable<string>;

/**
 * What a setting may hold.
 * `seconds` takes a number of seconds or a text such as `'30s'`; `count` is a whole number of at least 0;
 * `urls` one URL or a list; `rate` a number per second or `'10/m'`; `user` a name or a number.
 */
export type SettingType =
  | 'annotations'
  | 'any'
  | 'bool'
  | 'boolOrObject'
  | 'count'
  | 'deliveryMode'
  | 'int'
  | 'list'
  | 'number'
  | 'object'
  | 'oneOf'
  | 'queues'
  | 'rate'
  | 'routes'
  | 'seconds'
  | 'strategy'
  | 'text'
  | 'timezone'
  | 'urls'
  | 'user';

/** Settings whose numbers are seconds, and which take texts such as `'30s'`. */
export type SecondsSetting =
  | 'beatMaxLoopInterval'
  | 'beatLease'
  | 'beatCronStartingDeadline'
  | 'brokerConnectionTimeout'
  | 'brokerHeartbeat'
  | 'taskTimeLimit'
  | 'taskSoftTimeLimit'
  | 'workerLostWait'
  | 'workerProcAliveTimeout'
  | 'workerSoftShutdownTimeout'
  | 'workerTimerPrecision'
  | 'eventQueueExpires'
  | 'eventQueueTtl'
  | 'controlQueueTtl'
  | 'controlQueueExpires'
  | 'resultExpires'
  | 'resultChordJoinTimeout'
  | 'resultChordRetryInterval'
  | 'redisSocketTimeout'
  | 'redisSocketConnectTimeout'
  | 'elasticsearchTimeout'
  | 'cassandraEntryTtl'
  | 'azureblockblobConnectionTimeout'
  | 'azureblockblobReadTimeout'
  | 'azureblockblobRetryInitialBackoffSec'
  | 'azureblockblobRetryIncrementBase'
  | 'gcsTtl'
  | 'cosmosdbsqlMaxRetryWaitTime'
  | 'redisBackendHealthCheckInterval'
  | 'etaHorizon'
  | 'drainTimeout'
  | 'publishTimeout';

/** One entry of the table. */
export interface Setting<T> {
  readonly type: SettingType;
  readonly default: T;
  /** null means: unset. */
  readonly nullable?: boolean;
  /** The values of a `oneOf`. */
  readonly values?: readonly unknown[];
  readonly unit?: 's' | 'ms' | 'KiB' | 'bytes' | 'count' | 'URL' | 'path' | 'rate';
  /** One line for people; the same as the doc comment in the interface (a test holds both together). */
  readonly meaning: string;
  /** Environment variable that overrides every other source. */
  readonly env?: string;
  /** Command line option that sets it. */
  readonly flag?: string;
  /** Name before Celery 4, where the rule in `setting-names.ts` does not give it. */
  readonly oldName?: string;
  /** Never shown: `maskedConfig` replaces the value. */
  readonly secret?: boolean;
  /** `accepted`: known, checked and kept, but nothing reads it yet. */
  readonly status: 'used' | 'accepted';
}

/** The table of an interface: no entry missing, none too many, and seconds where `SecondsSetting` says so. */
export type SettingsOf<C> = {
  readonly [K in keyof C]: Setting<C[K]> &
    (K extends SecondsSetting ? { readonly type: 'seconds' } : { readonly type: Exclude<SettingType, 'seconds'> });
};

/** What may be given for a setting: seconds also as text. `undefined` counts as not given. */
export type SettingsInput<C> = {
  readonly [K in keyof C]?: C[K] | (K extends SecondsSetting ? Extract<Duration, string> : never) | undefined;
};
