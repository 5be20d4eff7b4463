import { fork } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { OperationalError } from '../errors.ts';
import { withDeadline, type Clock, type Timer } from '../runtime/clock.ts';
import { childEntry, type Member, type MemberEvents, type MemberExit } from './member.ts';
import { WATCHER_FD } from './watcher.ts';
import type { ToParent } from './wire.ts';

/** What is still alive this long after its signal is killed. Celery's supervisor waits as long. */
const KILL_AFTER_MS = 100;

/**
 * A child process.
 * @param lostWaitMs longest wait for what a dead process still had in its channel
 */
export function startProcess(clock: Clock, lostWaitMs: number, events: MemberEvents): Member {
  const { file, execArgv } = childEntry();
  const child = fork(file, [String(process.pid)], {
    execArgv: [...execArgv],
    serialization: 'json',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'],
  });
  const watcher = child.stdio[WATCHER_FD] as Duplex | null | undefined;
  // A pipe to a child that is gone; its exit says so.
  watcher?.on('error', () => undefined);
  let over = false;
  let waiting: Timer | undefined;
  let killing: Timer | undefined;
  const finish = (how: MemberExit): void => {
    if (over) return;
    over = true;
    waiting?.cancel();
    killing?.cancel();
    events.exit(how);
  };
  child.on('message', (batch) => {
    if (!over) events.messages(batch as unknown as readonly ToParent[]);
  });
  child.on('error', () => {
    // Could not be started, signalled or sent to: its exit says the rest, unless it never was there.
    if (child.pid === undefined) finish({ code: 1, signal: null });
  });
  child.once('exit', (code, signal) => {
    killing?.cancel();
    // What it sent before it died may still be on its way.
    if (!child.connected) return finish({ code, signal });
    child.once('disconnect', () => finish({ code, signal }));
    waiting = clock.setTimer(lostWaitMs, () => finish({ code, signal }));
  });
  return {
    pid: child.pid ?? 0,
    send(batch) {
      if (child.connected) child.send(batch as unknown as object[], () => {});
    },
    end(signal) {
      child.kill(signal);
      killing ??= clock.setTimer(signal === 'SIGKILL' || signal === constants.signals.SIGKILL ? 0 : KILL_AFTER_MS, () =>
        child.kill('SIGKILL'),
      );
    },
    stack: () => askForStack(clock, child.pid, watcher),
  };
}

/** A child that starts, or is about to end, does not answer. */
const STACK_WAIT_MS = 5_000;

async function askForStack(
  clock: Clock,
  pid: number | undefined,
  watcher: Duplex | null | undefined,
): Promise<readonly string[] | undefined> {
  const silent = (): OperationalError =>
    new OperationalError(`process ${pid ?? '?'} does not say where it is`, { recoverable: true });
  if (!watcher?.writable) throw silent();
  const answered = once(watcher, 'data');
  watcher.write('?');
  const [line] = (await withDeadline(clock, STACK_WAIT_MS, answered, silent)) as [Buffer];
  return (JSON.parse(line.toString().split('\n')[0] as string) as readonly string[] | null) ?? undefined;
}
