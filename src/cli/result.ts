import { Option, type Command } from 'commander';
import { RemoteError, ResultTimeoutError } from '../errors.ts';
import { CommandError, EXIT } from './exit.ts';
import { seconds } from './options.ts';
import type { Session } from './session.ts';

interface ResultFlags {
  readonly timeout?: number;
  readonly traceback?: boolean;
  readonly json?: boolean;
}

/** With nothing to see for this long, say what is being waited for. */
const STILL_WAITING_MS = 3_000;

function shown(value: unknown): string {
  if (typeof value === 'string') return value;
  return JSON.stringify(value, (_key, one: unknown) => (typeof one === 'bigint' ? String(one) : one), 2) ?? 'null';
}

/** `celeriac result ID`: waits for a task and prints what it returned. */
export function addResult(program: Command, session: Session): void {
  program
    .command('result')
    .description('wait for a task, print what it returned')
    .argument('<id>')
    .addOption(new Option('--timeout <seconds>', 'wait no longer (default: until it is done)').argParser(seconds))
    .option('-t, --task <name>', 'name of the task (accepted for compatibility: an app has one backend)')
    .option('--traceback', 'print the traceback of a task that failed')
    .option('-j, --json', 'print the state with the value or the error')
    .action(async (id: string, flags: ResultFlags) => {
      const app = await session.app();
      const handle = app.result(id);
      const reminder = app.clock.setTimer(
        STILL_WAITING_MS,
        () =>
          void handle.state().then(
            (state) => session.note(waiting(id, state)),
            () => {},
          ),
        { keepAlive: false },
      );
      try {
        const value = await handle.get(flags.timeout === undefined ? {} : { timeout: flags.timeout * 1000 });
        if (flags.json) session.json({ id, state: 'SUCCESS', result: value });
        else session.print(shown(value));
      } catch (error) {
        if (error instanceof ResultTimeoutError) {
          const state = await handle.state();
          throw new CommandError(`${id} is not done after ${flags.timeout} s: ${state}`, { hint: hint(state) });
        }
        const state = await handle.state();
        if (state === 'PENDING') throw error;
        session.exitCode = EXIT.failure;
        printFailure(session, id, state, error, flags);
      } finally {
        reminder.cancel();
      }
    });
}

function hint(state: string): string {
  return state === 'PENDING'
    ? 'Nothing is known of it: it has not started, or no task has this id'
    : 'It is known and not done yet';
}

function waiting(id: string, state: string): string {
  return `waiting for ${id}: ${state}${state === 'PENDING' ? ' (not started yet, or no task has this id)' : ''}`;
}

function printFailure(session: Session, id: string, state: string, error: unknown, flags: ResultFlags): void {
  const remote = error instanceof RemoteError ? error : undefined;
  const type = remote?.type ?? (error as Error).name;
  const message = (error as Error).message;
  if (flags.json) {
    session.json({ id, state, error: { type, message, traceback: remote?.traceback ?? null } });
    return;
  }
  if (flags.traceback && remote?.traceback) session.print(remote.traceback.trimEnd());
  else session.print(`${session.paint.bad(state)}: ${type}${message === type ? '' : `: ${message}`}`);
}
