import type { SettingsOf } from '../setting.ts';

/** Worker. */
export interface WorkerSettings {
  /** Pool size; null = CPU count. */
  readonly workerConcurrency: number | null;
  /** prefork, threads, solo, gevent, eventlet, custom. */
  readonly workerPool: string;
  /** Prefetched messages per process; 0 = unlimited. */
  readonly workerPrefetchMultiplier: number;
  /** Cap of prefetch count raised by ETA tasks. */
  readonly workerEtaTaskLimit: number | null;
  /** Lower prefetch after reconnect. */
  readonly workerEnablePrefetchCountReduction: boolean;
  /** Fetch only when a slot is free. */
  readonly workerDisablePrefetch: boolean;
  /** Per-consumer QoS when quorum queues exist. */
  readonly workerDetectQuorumQueues: boolean;
  /** Also consume `<node>.dq2`. */
  readonly workerDirect: boolean;
  /** Emit task events. */
  readonly workerSendTaskEvents: boolean;
  /** Serve remote control. */
  readonly workerEnableRemoteControl: boolean;
  /** Ignore rate limits. */
  readonly workerDisableRateLimits: boolean;
  /** Skip redelivered finished late-ack tasks. */
  readonly workerDeduplicateSuccessfulTasks: boolean;
  /** Recycle process after N tasks. */
  readonly workerMaxTasksPerChild: number | null;
  /** Recycle process above this size. */
  readonly workerMaxMemoryPerChild: number | null;
  /** Wait for result of a dead process. */
  readonly workerLostWait: number;
  /** Wait for a new process to report. */
  readonly workerProcAliveTimeout: number;
  /** Guard pool with a semaphore. */
  readonly workerPoolPutlocks: boolean;
  /** Allow the pool_restart command. */
  readonly workerPoolRestarts: boolean;
  /** File persisting revoked ids. */
  readonly workerStateDb: string | null;
  /** End late-ack tasks when the connection is lost, as they will run again. */
  readonly workerCancelLongRunningTasksOnConnectionLoss: boolean;
  /** Grace before cold shutdown; 0 = off. */
  readonly workerSoftShutdownTimeout: number;
  /** Soft phase even when idle. */
  readonly workerEnableSoftShutdownOnIdle: boolean;
  /** Timer class; here timers are those of the option `clock` of the app. */
  readonly workerTimer: string | null;
  /** Max timer sleep: how soon a clock that was set is noticed by ETAs and rate limits. */
  readonly workerTimerPrecision: number;
  /** How `--autoscale` decides: load, latency, or a module and its export; Celery’s class is load. */
  readonly workerAutoscaler: string;
  /** Consumer class; here messages other than tasks are consumed by steps (`app.steps`). */
  readonly workerConsumer: string;
  /** A step of each connection to the broker: a module and its export (`celeriac worker`). */
  readonly workerAgent: string | null;
  /** Capture console outside of tasks too. */
  readonly workerHijackRootLogger: boolean;
  /** Coloured logs; null = tty. */
  readonly workerLogColor: boolean | null;
  /** Log line format. */
  readonly workerLogFormat: string;
  /** Task log line format. */
  readonly workerTaskLogFormat: string;
  /** Redirect stdout/stderr to log. */
  readonly workerRedirectStdouts: boolean;
  /** Level of redirected output. */
  readonly workerRedirectStdoutsLevel: string;
  /** Log file of the daemon. */
  readonly workerLogfile: string | null;
  /** Pid file of the daemon. */
  readonly workerPidfile: string | null;
  /** User the daemon runs as. */
  readonly workerUid: string | number | null;
  /** Group the daemon runs as. */
  readonly workerGid: string | number | null;
  /** Umask of the daemon. */
  readonly workerUmask: string | number | null;
  /** Executable of the daemon. */
  readonly workerExecutable: string | null;
}

export const WORKER_SETTINGS: SettingsOf<WorkerSettings> = {
  workerConcurrency: {
    type: 'count',
    default: null,
    nullable: true,
    unit: 'count',
    meaning: 'Pool size; null = CPU count',
    flag: '-c',
    status: 'used',
  },
  workerPool: {
    type: 'text',
    default: 'prefork',
    meaning: 'prefork, threads, solo, gevent, eventlet, custom',
    flag: '-P',
    status: 'used',
  },
  workerPrefetchMultiplier: {
    type: 'count',
    default: 4,
    unit: 'count',
    meaning: 'Prefetched messages per process; 0 = unlimited',
    flag: '--prefetch-multiplier',
    status: 'used',
  },
  workerEtaTaskLimit: {
    type: 'count',
    default: null,
    nullable: true,
    unit: 'count',
    meaning: 'Cap of prefetch count raised by ETA tasks',
    status: 'used',
  },
  workerEnablePrefetchCountReduction: {
    type: 'bool',
    default: true,
    meaning: 'Lower prefetch after reconnect',
    status: 'used',
  },
  workerDisablePrefetch: {
    type: 'bool',
    default: false,
    meaning: 'Fetch only when a slot is free',
    flag: '--disable-prefetch',
    status: 'used',
  },
  workerDetectQuorumQueues: {
    type: 'bool',
    default: true,
    meaning: 'Per-consumer QoS when quorum queues exist',
    status: 'accepted',
  },
  workerDirect: {
    type: 'bool',
    default: false,
    meaning: 'Also consume `<node>.dq2`',
    oldName: 'CELERY_WORKER_DIRECT',
    status: 'used',
  },
  workerSendTaskEvents: {
    type: 'bool',
    default: false,
    meaning: 'Emit task events',
    flag: '-E',
    oldName: 'CELERY_SEND_EVENTS',
    status: 'used',
  },
  workerEnableRemoteControl: {
    type: 'bool',
    default: true,
    meaning: 'Serve remote control',
    oldName: 'CELERY_ENABLE_REMOTE_CONTROL',
    status: 'used',
  },
  workerDisableRateLimits: {
    type: 'bool',
    default: false,
    meaning: 'Ignore rate limits',
    oldName: 'CELERY_DISABLE_RATE_LIMITS',
    status: 'used',
  },
  workerDeduplicateSuccessfulTasks: {
    type: 'bool',
    default: false,
    meaning: 'Skip redelivered finished late-ack tasks',
    status: 'used',
  },
  workerMaxTasksPerChild: {
    type: 'count',
    default: null,
    nullable: true,
    unit: 'count',
    meaning: 'Recycle process after N tasks',
    flag: '--max-tasks-per-child',
    status: 'used',
  },
  workerMaxMemoryPerChild: {
    type: 'count',
    default: null,
    nullable: true,
    unit: 'KiB',
    meaning: 'Recycle process above this size',
    flag: '--max-memory-per-child',
    status: 'used',
  },
  workerLostWait: {
    type: 'seconds',
    default: 10,
    unit: 's',
    meaning: 'Wait for result of a dead process',
    oldName: 'CELERYD_WORKER_LOST_WAIT',
    status: 'used',
  },
  workerProcAliveTimeout: {
    type: 'seconds',
    default: 4,
    unit: 's',
    meaning: 'Wait for a new process to report',
    status: 'used',
  },
  workerPoolPutlocks: { type: 'bool', default: true, meaning: 'Guard pool with a semaphore', status: 'accepted' },
  workerPoolRestarts: { type: 'bool', default: false, meaning: 'Allow the pool_restart command', status: 'used' },
  workerStateDb: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'File persisting revoked ids',
    flag: '-S',
    status: 'used',
  },
  workerCancelLongRunningTasksOnConnectionLoss: {
    type: 'bool',
    default: false,
    meaning: 'End late-ack tasks when the connection is lost, as they will run again',
    status: 'used',
  },
  workerSoftShutdownTimeout: {
    type: 'seconds',
    default: 0,
    unit: 's',
    meaning: 'Grace before cold shutdown; 0 = off',
    status: 'used',
  },
  workerEnableSoftShutdownOnIdle: {
    type: 'bool',
    default: false,
    meaning: 'Soft phase even when idle',
    status: 'used',
  },
  workerTimer: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Timer class; here timers are those of the option `clock` of the app',
    status: 'accepted',
  },
  workerTimerPrecision: {
    type: 'seconds',
    default: 1,
    unit: 's',
    meaning: 'Max timer sleep: how soon a clock that was set is noticed by ETAs and rate limits',
    status: 'used',
  },
  workerAutoscaler: {
    type: 'text',
    default: 'celery.worker.autoscale:Autoscaler',
    unit: 'path',
    meaning: 'How `--autoscale` decides: load, latency, or a module and its export; Celery’s class is load',
    flag: '--autoscale',
    status: 'used',
  },
  workerConsumer: {
    type: 'text',
    default: 'celery.worker.consumer:Consumer',
    unit: 'path',
    meaning: 'Consumer class; here messages other than tasks are consumed by steps (`app.steps`)',
    status: 'accepted',
  },
  workerAgent: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'A step of each connection to the broker: a module and its export (`celeriac worker`)',
    status: 'used',
  },
  workerHijackRootLogger: {
    type: 'bool',
    default: true,
    meaning: 'Capture console outside of tasks too',
    status: 'used',
  },
  workerLogColor: {
    type: 'bool',
    default: null,
    nullable: true,
    meaning: 'Coloured logs; null = tty',
    flag: '--no-color',
    status: 'used',
  },
  workerLogFormat: {
    type: 'text',
    default: '[%(asctime)s: %(levelname)s/%(processName)s] %(message)s',
    meaning: 'Log line format',
    status: 'used',
  },
  workerTaskLogFormat: {
    type: 'text',
    default: '[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s',
    meaning: 'Task log line format',
    status: 'used',
  },
  workerRedirectStdouts: {
    type: 'bool',
    default: true,
    meaning: 'Redirect stdout/stderr to log',
    oldName: 'CELERY_REDIRECT_STDOUTS',
    status: 'used',
  },
  workerRedirectStdoutsLevel: {
    type: 'text',
    default: 'WARNING',
    meaning: 'Level of redirected output',
    oldName: 'CELERY_REDIRECT_STDOUTS_LEVEL',
    status: 'used',
  },
  workerLogfile: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Log file of the daemon',
    flag: 'celeriac worker --logfile',
    status: 'used',
  },
  workerPidfile: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Pid file of the daemon',
    flag: 'celeriac worker --pidfile',
    status: 'used',
  },
  workerUid: {
    type: 'user',
    default: null,
    nullable: true,
    meaning: 'User the daemon runs as',
    flag: 'celeriac worker --uid',
    status: 'used',
  },
  workerGid: {
    type: 'user',
    default: null,
    nullable: true,
    meaning: 'Group the daemon runs as',
    flag: 'celeriac worker --gid',
    status: 'used',
  },
  workerUmask: {
    type: 'user',
    default: null,
    nullable: true,
    meaning: 'Umask of the daemon',
    flag: 'celeriac worker --umask',
    status: 'used',
  },
  workerExecutable: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Executable of the daemon',
    flag: 'celeriac worker --executable',
    status: 'used',
  },
};
