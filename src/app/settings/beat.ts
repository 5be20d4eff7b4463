import type { SettingsObject, SettingsOf } from '../setting.ts';

/** `SchedulerClass` or `OpenScheduler` of `celeriac/beat`; what makes a store is checked when beat starts. */
export type BeatSchedulerFactory = ((context: never) => unknown) | (new (context: never) => unknown);

/** Beat. */
export interface BeatSettings {
  /** Periodic task entries. */
  readonly beatSchedule: SettingsObject;
  /** Scheduler: name, module, class or function. */
  readonly beatScheduler: string | BeatSchedulerFactory;
  /** Schedule database file. */
  readonly beatScheduleFilename: string;
  /** Sent tasks between syncs; every run is written down before and after it is sent, whatever it says. */
  readonly beatSyncEvery: number;
  /** Max sleep between checks; 0 = scheduler default 300. */
  readonly beatMaxLoopInterval: number;
  /** Skip missed crontab runs older than this. */
  readonly beatCronStartingDeadline: number | null;
  /** Beats that share a schedule: how long nobody leads when the leader dies. */
  readonly beatLease: number;
  /** Log file of the daemon. */
  readonly beatLogfile: string | null;
  /** Pid file of the daemon. */
  readonly beatPidfile: string | null;
  /** User the daemon runs as. */
  readonly beatUid: string | number | null;
  /** Group the daemon runs as. */
  readonly beatGid: string | number | null;
  /** Umask of the daemon. */
  readonly beatUmask: string | number | null;
  /** Executable of the daemon. */
  readonly beatExecutable: string | null;
}

export const BEAT_SETTINGS: SettingsOf<BeatSettings> = {
  beatSchedule: { type: 'object', default: {}, meaning: 'Periodic task entries', status: 'used' },
  beatScheduler: {
    type: 'any',
    default: 'celery.beat:PersistentScheduler',
    unit: 'path',
    meaning: 'Scheduler: name, module, class or function',
    flag: 'celeriac beat -S, celeriac worker --scheduler',
    status: 'used',
  },
  beatScheduleFilename: {
    type: 'text',
    default: 'celerybeat-schedule',
    unit: 'path',
    meaning: 'Schedule database file',
    flag: 'celeriac beat -s, celeriac worker -s',
    status: 'used',
  },
  beatSyncEvery: {
    type: 'count',
    default: 0,
    unit: 'count',
    meaning: 'Sent tasks between syncs; every run is written down before and after it is sent, whatever it says',
    status: 'accepted',
  },
  beatMaxLoopInterval: {
    type: 'seconds',
    default: 0,
    unit: 's',
    meaning: 'Max sleep between checks; 0 = scheduler default 300',
    flag: 'celeriac beat --max-interval',
    status: 'used',
  },
  beatCronStartingDeadline: {
    type: 'seconds',
    default: null,
    nullable: true,
    unit: 's',
    meaning: 'Skip missed crontab runs older than this',
    status: 'used',
  },
  beatLease: {
    type: 'seconds',
    default: 15,
    unit: 's',
    meaning: 'Beats that share a schedule: how long nobody leads when the leader dies',
    status: 'used',
  },
  beatLogfile: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Log file of the daemon',
    flag: 'celeriac beat --logfile',
    status: 'used',
  },
  beatPidfile: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Pid file of the daemon',
    flag: 'celeriac beat --pidfile',
    status: 'used',
  },
  beatUid: {
    type: 'user',
    default: null,
    nullable: true,
    meaning: 'User the daemon runs as',
    flag: 'celeriac beat --uid',
    status: 'used',
  },
  beatGid: {
    type: 'user',
    default: null,
    nullable: true,
    meaning: 'Group the daemon runs as',
    flag: 'celeriac beat --gid',
    status: 'used',
  },
  beatUmask: {
    type: 'user',
    default: null,
    nullable: true,
    meaning: 'Umask of the daemon',
    flag: 'celeriac beat --umask',
    status: 'used',
  },
  beatExecutable: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'path',
    meaning: 'Executable of the daemon',
    flag: 'celeriac beat --executable',
    status: 'used',
  },
};
