import type { SettingsObject, SettingsOf } from '../setting.ts';
import type { TaskAnnotations } from '../annotations.ts';

/** Task. */
export interface TaskSettings {
  /** Ack after execution instead of before. */
  readonly taskAcksLate: boolean;
  /** Late ack also on failure or timeout. */
  readonly taskAcksOnFailureOrTimeout: boolean;
  /** Requeue late-ack task whose process died. */
  readonly taskRejectOnWorkerLost: boolean | null;
  /** Run tasks inline instead of publishing. */
  readonly taskAlwaysEager: boolean;
  /** Eager errors raise. */
  readonly taskEagerPropagates: boolean;
  /** Store results of eager tasks. */
  readonly taskStoreEagerResult: boolean;
  /** Attribute overrides per task name or `*`. */
  readonly taskAnnotations: TaskAnnotations | null;
  /** Default body compression alias. */
  readonly taskCompression: string | null;
  /** Default body (and control) serializer. */
  readonly taskSerializer: string;
  /** Message protocol 1 or 2. */
  readonly taskProtocol: 1 | 2;
  /** Default: do not store results. */
  readonly taskIgnoreResult: boolean;
  /** Store errors of ignored-result tasks. */
  readonly taskStoreErrorsEvenIfIgnored: boolean;
  /** Store STARTED. */
  readonly taskTrackStarted: boolean;
  /** Rebuild remote tracebacks locally (tblib). */
  readonly taskRemoteTracebacks: boolean;
  /** Hard limit. */
  readonly taskTimeLimit: number | null;
  /** Soft limit. */
  readonly taskSoftTimeLimit: number | null;
  /** Rate limit for all tasks. */
  readonly taskDefaultRateLimit: string | number | null;
  /** Retry publishing on connection errors. */
  readonly taskPublishRetry: boolean;
  /** Retry policy. */
  readonly taskPublishRetryPolicy: SettingsObject;
  /** Emit task-sent events. */
  readonly taskSendSentEvent: boolean;
  /** Chord errbacks also on header tasks. */
  readonly taskAllowErrorCbOnChordHeader: boolean;
}

export const TASK_SETTINGS: SettingsOf<TaskSettings> = {
  taskAcksLate: { type: 'bool', default: false, meaning: 'Ack after execution instead of before', status: 'used' },
  taskAcksOnFailureOrTimeout: {
    type: 'bool',
    default: true,
    meaning: 'Late ack also on failure or timeout',
    status: 'used',
  },
  taskRejectOnWorkerLost: {
    type: 'bool',
    default: null,
    nullable: true,
    meaning: 'Requeue late-ack task whose process died',
    status: 'used',
  },
  taskAlwaysEager: {
    type: 'bool',
    default: false,
    meaning: 'Run tasks inline instead of publishing',
    status: 'used',
  },
  taskEagerPropagates: {
    type: 'bool',
    default: false,
    meaning: 'Eager errors raise',
    oldName: 'CELERY_EAGER_PROPAGATES_EXCEPTIONS',
    status: 'used',
  },
  taskStoreEagerResult: { type: 'bool', default: false, meaning: 'Store results of eager tasks', status: 'used' },
  taskAnnotations: {
    type: 'annotations',
    default: null,
    nullable: true,
    meaning: 'Attribute overrides per task name or `*`',
    status: 'used',
  },
  taskCompression: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'Default body compression alias',
    oldName: 'CELERY_MESSAGE_COMPRESSION',
    status: 'used',
  },
  taskSerializer: {
    type: 'text',
    default: 'json',
    meaning: 'Default body (and control) serializer',
    oldName: 'CELERY_TASK_SERIALIZER',
    status: 'used',
  },
  taskProtocol: {
    type: 'oneOf',
    values: [1, 2],
    default: 2,
    meaning: 'Message protocol 1 or 2',
    oldName: 'CELERY_TASK_PROTOCOL',
    status: 'used',
  },
  taskIgnoreResult: { type: 'bool', default: false, meaning: 'Default: do not store results', status: 'used' },
  taskStoreErrorsEvenIfIgnored: {
    type: 'bool',
    default: false,
    meaning: 'Store errors of ignored-result tasks',
    status: 'used',
  },
  taskTrackStarted: { type: 'bool', default: false, meaning: 'Store STARTED', status: 'used' },
  taskRemoteTracebacks: {
    type: 'bool',
    default: false,
    meaning: 'Rebuild remote tracebacks locally (tblib)',
    status: 'used',
  },
  taskTimeLimit: {
    type: 'seconds',
    default: null,
    nullable: true,
    unit: 's',
    meaning: 'Hard limit',
    flag: 'celeriac worker --time-limit',
    oldName: 'CELERYD_TASK_TIME_LIMIT',
    status: 'used',
  },
  taskSoftTimeLimit: {
    type: 'seconds',
    default: null,
    nullable: true,
    unit: 's',
    meaning: 'Soft limit',
    flag: 'celeriac worker --soft-time-limit',
    oldName: 'CELERYD_TASK_SOFT_TIME_LIMIT',
    status: 'used',
  },
  taskDefaultRateLimit: {
    type: 'rate',
    default: null,
    nullable: true,
    unit: 'rate',
    meaning: 'Rate limit for all tasks',
    status: 'used',
  },
  taskPublishRetry: {
    type: 'bool',
    default: true,
    meaning: 'Retry publishing on connection errors',
    oldName: 'CELERY_TASK_PUBLISH_RETRY',
    status: 'used',
  },
  taskPublishRetryPolicy: {
    type: 'object',
    default: { max_retries: 3, interval_start: 0, interval_max: 1, interval_step: 0.2 },
    meaning: 'Retry policy',
    oldName: 'CELERY_TASK_PUBLISH_RETRY_POLICY',
    status: 'used',
  },
  taskSendSentEvent: {
    type: 'bool',
    default: false,
    meaning: 'Emit task-sent events',
    oldName: 'CELERY_SEND_TASK_SENT_EVENT',
    status: 'used',
  },
  taskAllowErrorCbOnChordHeader: {
    type: 'bool',
    default: false,
    meaning: 'Chord errbacks also on header tasks',
    status: 'accepted',
  },
};
