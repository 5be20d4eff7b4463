import type { SettingsObject, SettingsOf } from '../setting.ts';

/** Settings that Celery does not have. */
export interface CeleriacSettings {
  /** Set of defaults: `safe` loses nothing when a worker dies, `celery` is Celery 5.6 exactly. */
  readonly preset: 'safe' | 'celery';
  /** Messages due later than this wait in the broker, not in the worker; null = always in the worker. */
  readonly etaHorizon: number | null;
  /** Times a message is handed out before a worker's death under it is final; null = without end. */
  readonly maxDeliveries: number | null;
  /** Publishing waits until the broker owns the message (AMQP; the other brokers always do). */
  readonly publisherConfirms: boolean;
  /** All tries to publish one message together. */
  readonly publishTimeout: number;
  /** Arguments whose names contain one of these are not shown in headers, events and logs; null = all are shown. */
  readonly maskedArguments: readonly string[] | null;
  /** Time a warm shutdown gives to running tasks; null = as long as they take. */
  readonly drainTimeout: number | null;
  /** Tasks at a time in each child of a process or thread pool. */
  readonly workerSlots: number;
  /** Where the worker answers `/live`, `/ready` and `/metrics`: a port, host:port or a socket's path; null = nowhere. */
  readonly workerHealth: string | null;
  /** Database with django-celery-beat's tables, for the scheduler `django`: a postgresql, mysql or sqlite URL. */
  readonly beatDatabase: string | null;
  /** How the Django project keeps times: `useTz`, `timeZone`, `tzAware`. */
  readonly beatDatabaseOptions: SettingsObject;
  /** Largest message body that is read; larger ones are refused. */
  readonly maxMessageBytes: number;
  /** Largest body after decompression; larger ones are refused. */
  readonly maxDecompressedBytes: number;
}

export const CELERIAC_SETTINGS: SettingsOf<CeleriacSettings> = {
  preset: {
    type: 'oneOf',
    values: ['safe', 'celery'],
    default: 'safe',
    meaning: 'Set of defaults: `safe` loses nothing when a worker dies, `celery` is Celery 5.6 exactly',
    status: 'used',
  },
  etaHorizon: {
    type: 'seconds',
    default: 30,
    nullable: true,
    unit: 's',
    meaning: 'Messages due later than this wait in the broker, not in the worker; null = always in the worker',
    status: 'used',
  },
  maxDeliveries: {
    type: 'count',
    default: null,
    nullable: true,
    unit: 'count',
    meaning: "Times a message is handed out before a worker's death under it is final; null = without end",
    status: 'used',
  },
  maskedArguments: {
    type: 'list',
    default: null,
    nullable: true,
    meaning:
      'Arguments whose names contain one of these are not shown in headers, events and logs; null = all are shown',
    status: 'used',
  },
  publisherConfirms: {
    type: 'bool',
    default: false,
    meaning: 'Publishing waits until the broker owns the message (AMQP; the other brokers always do)',
    status: 'used',
  },
  publishTimeout: {
    type: 'seconds',
    default: 10,
    unit: 's',
    meaning: 'All tries to publish one message together',
    status: 'used',
  },
  drainTimeout: {
    type: 'seconds',
    default: null,
    nullable: true,
    unit: 's',
    meaning: 'Time a warm shutdown gives to running tasks; null = as long as they take',
    status: 'used',
  },
  workerSlots: {
    type: 'count',
    default: 1,
    unit: 'count',
    meaning: 'Tasks at a time in each child of a process or thread pool',
    flag: '--slots',
    status: 'used',
  },
  workerHealth: {
    type: 'text',
    default: null,
    nullable: true,
    meaning:
      "Where the worker answers `/live`, `/ready` and `/metrics`: a port, host:port or a socket's path; null = nowhere",
    flag: '--health',
    status: 'used',
  },
  beatDatabase: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'URL',
    meaning: "Database with django-celery-beat's tables, for the scheduler `django`: a postgresql, mysql or sqlite URL",
    status: 'used',
  },
  beatDatabaseOptions: {
    type: 'object',
    default: {},
    meaning: 'How the Django project keeps times: `useTz`, `timeZone`, `tzAware`',
    status: 'used',
  },
  maxMessageBytes: {
    type: 'count',
    default: 134_217_728,
    unit: 'bytes',
    meaning: 'Largest message body that is read; larger ones are refused',
    status: 'used',
  },
  maxDecompressedBytes: {
    type: 'count',
    default: 134_217_728,
    unit: 'bytes',
    meaning: 'Largest body after decompression; larger ones are refused',
    status: 'used',
  },
};
