import type { SettingsOf } from '../setting.ts';

/** Events and control. */
export interface EventsSettings {
  /** Event queue lifetime without consumers. */
  readonly eventQueueExpires: number;
  /** Event message lifetime. */
  readonly eventQueueTtl: number;
  /** Event queue name prefix. */
  readonly eventQueuePrefix: string;
  /** Declare event queue exclusive (5.7-dev: true). */
  readonly eventQueueExclusive: boolean;
  /** Declare event queue durable. */
  readonly eventQueueDurable: boolean;
  /** Event exchange name. */
  readonly eventExchange: string;
  /** Event serializer. */
  readonly eventSerializer: string;
  /** Control and reply message lifetime. */
  readonly controlQueueTtl: number;
  /** Control and reply queue lifetime. */
  readonly controlQueueExpires: number;
  /** Exclusive control queues (5.7-dev: true). */
  readonly controlQueueExclusive: boolean;
  /** Durable control queues. */
  readonly controlQueueDurable: boolean;
  /** Prefix of pidbox exchanges. */
  readonly controlExchange: string;
  /** Log file of the daemon (`celeriac events --logfile`). */
  readonly eventsLogfile: string | null;
  /** Pid file of the daemon (`celeriac events --pidfile`). */
  readonly eventsPidfile: string | null;
  /** User the daemon runs as (`celeriac events --uid`). */
  readonly eventsUid: string | number | null;
  /** Group the daemon runs as (`celeriac events --gid`). */
  readonly eventsGid: string | number | null;
  /** Umask of the daemon (`celeriac events --umask`). */
  readonly eventsUmask: string | number | null;
  /** Executable of the daemon (`celeriac events --executable`). */
  readonly eventsExecutable: string | null;
}

export const EVENTS_SETTINGS: SettingsOf<EventsSettings> = {
  eventQueueExpires: {
    type: 'seconds',
    default: 60,
    unit: 's',
    meaning: 'Event queue lifetime without consumers',
    status: 'used',
  },
  eventQueueTtl: { type: 'seconds', default: 5, unit: 's', meaning: 'Event message lifetime', status: 'used' },
  eventQueuePrefix: { type: 'text', default: 'celeryev', meaning: 'Event queue name prefix', status: 'used' },
  eventQueueExclusive: {
    type: 'bool',
    default: false,
    meaning: 'Declare event queue exclusive (5.7-dev: true)',
    status: 'used',
  },
  eventQueueDurable: { type: 'bool', default: false, meaning: 'Declare event queue durable', status: 'used' },
  eventExchange: { type: 'text', default: 'celeryev', meaning: 'Event exchange name', status: 'used' },
  eventSerializer: { type: 'text', default: 'json', meaning: 'Event serializer', status: 'used' },
  controlQueueTtl: {
    type: 'seconds',
    default: 300,
    unit: 's',
    meaning: 'Control and reply message lifetime',
    status: 'used',
  },
  controlQueueExpires: {
    type: 'seconds',
    default: 10,
    unit: 's',
    meaning: 'Control and reply queue lifetime',
    status: 'used',
  },
  controlQueueExclusive: {
    type: 'bool',
    default: false,
    meaning: 'Exclusive control queues (5.7-dev: true)',
    status: 'used',
  },
  controlQueueDurable: { type: 'bool', default: false, meaning: 'Durable control queues', status: 'used' },
  controlExchange: { type: 'text', default: 'celery', meaning: 'Prefix of pidbox exchanges', status: 'used' },
  eventsLogfile: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Log file of the daemon (`celeriac events --logfile`)',
    status: 'used',
  },
  eventsPidfile: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Pid file of the daemon (`celeriac events --pidfile`)',
    status: 'used',
  },
  eventsUid: {
    type: 'user',
    default: null,
    nullable: true,
    meaning: 'User the daemon runs as (`celeriac events --uid`)',
    status: 'used',
  },
  eventsGid: {
    type: 'user',
    default: null,
    nullable: true,
    meaning: 'Group the daemon runs as (`celeriac events --gid`)',
    status: 'used',
  },
  eventsUmask: {
    type: 'user',
    default: null,
    nullable: true,
    meaning: 'Umask of the daemon (`celeriac events --umask`)',
    status: 'used',
  },
  eventsExecutable: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Executable of the daemon (`celeriac events --executable`)',
    status: 'used',
  },
};
