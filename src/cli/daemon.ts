import { spawn, spawnSync } from 'node:child_process';
import { fchownSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { sleep } from '../runtime/clock.ts';
import { nodeFile } from '../worker/node-name.ts';
import { CommandError, EXIT } from './exit.ts';
import { checkPidfile, readPid, takePidfile } from './pidfile.ts';
import { isStoodFor } from './respawn.ts';
import type { Session } from './session.ts';

/** Flags of commands that may run in the background. */
export interface DaemonFlags {
  readonly detach?: boolean;
  readonly pidfile?: string;
  readonly logfile?: string;
  readonly uid?: string;
  readonly gid?: string;
  readonly umask?: number;
  readonly executable?: string;
  /** Node name; fills in `%h`, `%n`, `%d` of the file names. */
  readonly hostname?: string | undefined;
}

/** Set in the process that runs on in the background. */
const DETACHED = 'CELERIAC_DETACHED';
/** Longest wait for the process in the background to say that it runs. */
const START_MS = 30_000;
const POLL_MS = 20;

export function addDaemonOptions(command: Command): Command {
  return command
    .option('-D, --detach', 'run in the background')
    .option('--pidfile <file>', 'write the process id here; refuses to start while its process lives')
    .option('--uid <user>', 'run as this user, name or number')
    .option('--gid <group>', 'run as this group, name or number')
    .addOption(new Option('--umask <octal>', 'permissions that new files do not get: 022').argParser(octal))
    .option('--executable <file>', 'Node to run in the background with');
}

/** @throws {InvalidArgumentError} for a text that is no octal number */
export function octal(text: string): number {
  if (!/^(0o?)?[0-7]{1,3}$/.test(text)) throw new InvalidArgumentError('Expected an octal number, such as 022.');
  return Number.parseInt(text.replace('o', ''), 8);
}

/**
 * Goes into the background, or takes the pidfile, user and umask where it is.
 * @returns 'detached' in the process that has nothing more to do, else what undoes it
 * @throws {CommandError} when the process in the background does not come up
 */
export async function daemonize(session: Session, flags: DaemonFlags): Promise<'detached' | (() => void)> {
  // The process that stands for this one has it all.
  if (isStoodFor(session.io.env)) return () => {};
  const nodeName = flags.hostname ?? `celery@${hostname()}`;
  const pidfile = flags.pidfile === undefined ? undefined : session.path(nodeFile(flags.pidfile, nodeName));
  if (flags.detach && session.io.env[DETACHED] !== '1') {
    if (pidfile !== undefined) checkPidfile(pidfile);
    await detach(session, flags, pidfile, nodeName);
    return 'detached';
  }
  if (flags.umask !== undefined) process.umask(flags.umask);
  // The file first: its folder may be closed to the user it runs as.
  const release = pidfile === undefined ? () => {} : takePidfile(pidfile);
  process.once('exit', release);
  try {
    become(flags);
  } catch (error) {
    release();
    throw error;
  }
  return () => {
    process.removeListener('exit', release);
    try {
      release();
    } catch (error) {
      session.note(`the pidfile stays: ${(error as Error).message}`);
    }
  };
}

function become({ uid, gid }: DaemonFlags): void {
  const id = (text: string): string | number => (/^\d+$/.test(text) ? Number(text) : text);
  try {
    if (gid !== undefined) process.setgid?.(id(gid));
    if (uid !== undefined) {
      // Root's own groups would open to it what the user may not read.
      if (process.getuid?.() === 0) process.setgroups?.(gid === undefined ? [] : [id(gid)]);
      process.setuid?.(id(uid));
    }
  } catch (cause) {
    throw new CommandError(`cannot run as user ${uid ?? '-'}, group ${gid ?? '-'}: ${(cause as Error).message}`, {
      exitCode: EXIT.usage,
      cause,
    });
  }
  if (uid !== undefined && process.getuid?.() === 0 && id(uid) !== 0 && uid !== 'root') {
    throw new CommandError('still running as root after changing the user');
  }
}

/** Number of a user or group by name, as the system knows it; -1 leaves the owner as it is. */
function ownerId(flag: '-u' | '-g', name: string | undefined): number {
  if (name === undefined) return -1;
  if (/^\d+$/.test(name)) return Number(name);
  const [command, ...args] = flag === '-u' ? ['id', '-u', name] : ['getent', 'group', name];
  const { stdout, status } = spawnSync(command as string, args, { encoding: 'utf8' });
  const id = Number(flag === '-u' ? stdout.trim() : stdout.split(':')[2]);
  if (status === 0 && Number.isInteger(id)) return id;
  throw new CommandError(`there is no ${flag === '-u' ? 'user' : 'group'} "${name}"`, { exitCode: EXIT.usage });
}

async function detach(
  session: Session,
  flags: DaemonFlags,
  pidfile: string | undefined,
  nodeName: string,
): Promise<void> {
  const { io } = session;
  const logfile = flags.logfile === undefined ? '/dev/null' : session.path(nodeFile(flags.logfile, nodeName));
  const output = openSync(logfile, 'a', 0o644);
  // The process in the background opens it again, as the user it then is.
  if (logfile !== '/dev/null' && process.getuid?.() === 0)
    fchownSync(output, ownerId('-u', flags.uid), ownerId('-g', flags.gid));
  const executable = flags.executable ?? process.execPath;
  const child = spawn(executable, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ['ignore', output, output],
    env: { ...io.env, [DETACHED]: '1' },
    cwd: io.cwd(),
  });
  let failure: string | undefined;
  child.once('error', ({ message }) => (failure = message));
  child.once('exit', (code, signal) => (failure = `it ended with ${signal ?? code}`));
  const deadlineMs = io.clock.monotonic() + START_MS;
  // Without a pidfile nothing says that it runs: then that it was started is all there is to know.
  const up = (): boolean => child.pid !== undefined && (pidfile === undefined || readPid(pidfile) === child.pid);
  while (failure === undefined && !up() && io.clock.monotonic() < deadlineMs) await sleep(io.clock, POLL_MS);
  if (failure !== undefined || !up()) {
    const last =
      logfile === '/dev/null' ? '' : readFileSync(logfile, 'utf8').trimEnd().split('\n').slice(-5).join('\n');
    throw new CommandError(
      `the process in the background did not start: ${failure ?? `no pidfile within ${START_MS / 1000} s`}\n${last}`.trimEnd(),
      { hint: logfile === '/dev/null' ? 'With --logfile there is more to read' : `See ${logfile}` },
    );
  }
  child.unref();
}

/** For files whose names come from patterns. */
export function makeFolder(file: string): void {
  mkdirSync(dirname(file), { recursive: true });
}
