import type { Celery } from '../app/celery.ts';
import { octal, type DaemonFlags } from './daemon.ts';
import { CommandError, EXIT } from './exit.ts';
import type { Session } from './session.ts';

/**
 * Fills in daemon options that were not typed from the settings `workerPidfile`, `beatLogfile` and so on.
 *
 * The app has to be loaded for that. Where a user, a group or a pidfile is typed, the app is loaded only after they
 * were taken, and nothing is filled in: code must not run as root by surprise, and a pidfile is there at once.
 * Source: `DaemonOption` of celery.bin.base.
 */
export async function withDaemonSettings<F extends DaemonFlags>(
  session: Session,
  command: keyof typeof SETTINGS,
  flags: F,
): Promise<F> {
  if (flags.uid !== undefined || flags.gid !== undefined || flags.pidfile !== undefined) return flags;
  const { conf } = await session.app(command === 'events' ? 'broker' : 'tasks');
  const own = SETTINGS[command](conf);
  const found = Object.entries(own).flatMap(([name, value]) => {
    if (value === null || flags[name as keyof DaemonFlags] !== undefined) return [];
    return [[name, name === 'umask' ? umaskOf(command, value) : String(value)] as const];
  });
  return { ...flags, ...Object.fromEntries(found) };
}

type Setting = string | number | null;
type DaemonSettings = Readonly<Record<'logfile' | 'pidfile' | 'uid' | 'gid' | 'umask' | 'executable', Setting>>;

function workerSettings(conf: Celery['conf']): DaemonSettings {
  const { workerLogfile, workerPidfile, workerUid, workerGid, workerUmask, workerExecutable } = conf;
  return {
    logfile: workerLogfile,
    pidfile: workerPidfile,
    uid: workerUid,
    gid: workerGid,
    umask: workerUmask,
    executable: workerExecutable,
  };
}

function beatSettings(conf: Celery['conf']): DaemonSettings {
  const { beatLogfile, beatPidfile, beatUid, beatGid, beatUmask, beatExecutable } = conf;
  return {
    logfile: beatLogfile,
    pidfile: beatPidfile,
    uid: beatUid,
    gid: beatGid,
    umask: beatUmask,
    executable: beatExecutable,
  };
}

function eventsSettings(conf: Celery['conf']): DaemonSettings {
  const { eventsLogfile, eventsPidfile, eventsUid, eventsGid, eventsUmask, eventsExecutable } = conf;
  return {
    logfile: eventsLogfile,
    pidfile: eventsPidfile,
    uid: eventsUid,
    gid: eventsGid,
    umask: eventsUmask,
    executable: eventsExecutable,
  };
}

const SETTINGS = { worker: workerSettings, beat: beatSettings, events: eventsSettings } as const;

/** A number is taken as it is; a text is octal, as on the command line. */
function umaskOf(command: string, value: string | number): number {
  if (typeof value === 'number') return value;
  try {
    return octal(value);
  } catch (cause) {
    throw new CommandError(`setting ${command}Umask: ${(cause as Error).message}`, { exitCode: EXIT.usage, cause });
  }
}
