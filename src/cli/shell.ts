import { homedir } from 'node:os';
import { join } from 'node:path';
import { start, type REPLServer } from 'node:repl';
import { Option, type Command } from 'commander';
import type { Celery } from '../app/celery.ts';
import { chain, chord, group } from '../canvas/builders.ts';
import { VERSION } from '../version.ts';
import type { Session } from './session.ts';

interface ShellFlags {
  readonly withoutTasks?: boolean;
}

/** `celeriac shell`: Node's prompt with the app, its tasks and the canvas in scope. */
export function addShell(program: Command, session: Session): void {
  program
    .command('shell')
    .description("Node's prompt with app, its tasks, chain, group, chord and signature in scope; await works")
    .option('-T, --without-tasks', 'do not put the tasks into scope')
    .addOption(new Option('-I, --ipython').hideHelp())
    .addOption(new Option('-B, --bpython').hideHelp())
    .addOption(new Option('--python').hideHelp())
    .addOption(new Option('--eventlet').hideHelp())
    .addOption(new Option('--gevent').hideHelp())
    .action(async (flags: ShellFlags) => {
      const app = await session.app();
      await app.ready();
      const scope = scopeOf(app, !flags.withoutTasks);
      const { stdin, stdout } = session.io;
      const terminal = stdin.isTTY === true;
      if (terminal) session.note(`celeriac ${VERSION}: ${Object.keys(scope).join(', ')}`);
      const prompt = start({
        input: stdin,
        output: stdout as unknown as NodeJS.WritableStream,
        prompt: terminal ? 'celeriac> ' : '',
        terminal,
        useColors: terminal && session.colours(stdout),
        ignoreUndefined: true,
      });
      Object.assign(prompt.context, scope);
      if (terminal) await history(prompt, session);
      await new Promise<void>((resolve) => void prompt.once('exit', resolve));
    });
}

/** A task is in scope under its full name (`tasks['math.add']`) and, where that is free and a name, its last part. */
function scopeOf(app: Celery, withTasks: boolean): Record<string, unknown> {
  const tasks: Record<string, unknown> = {};
  const scope: Record<string, unknown> = {
    app,
    celery: app,
    chain,
    group,
    chord,
    signature: (dict: Parameters<Celery['signature']>[0]) => app.signature(dict),
    tasks,
  };
  if (!withTasks) return scope;
  for (const name of app.tasks.names()) {
    const handle = app.remoteTask<(...args: unknown[]) => unknown>(name);
    tasks[name] = handle;
    const short = name.split('.').at(-1) as string;
    if (!name.startsWith('celery.') && !(short in scope) && /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(short))
      scope[short] = handle;
  }
  return scope;
}

/** Kept in the person's home; a home that cannot be written to is no reason to stop. */
function history(prompt: REPLServer, session: Session): Promise<void> {
  const file = session.io.env['CELERIAC_HISTORY'] ?? join(homedir(), '.celeriac_history');
  return new Promise((resolve) => prompt.setupHistory(file, () => resolve()));
}
