import { Command, CommanderError, Option } from 'commander';
import { addAmqp } from './amqp.ts';
import { addBeat } from './beat.ts';
import { addCall } from './call.ts';
import { addCompletion, candidates } from './completion.ts';
import { addControl } from './control.ts';
import { addDlq } from './dlq.ts';
import { applyEnvironment } from './environment.ts';
import { endingOf, EXIT } from './exit.ts';
import { addGraph } from './graph.ts';
import { addInit } from './init.ts';
import { addInspect } from './inspect.ts';
import type { Io } from './io.ts';
import { addList } from './list.ts';
import { addLogtool } from './logtool.ts';
import { addMigrate } from './migrate.ts';
import { addEvents } from './monitor/command.ts';
import { addMulti, multiWords, runMulti } from './multi/command.ts';
import { addPluginCommands } from './plugin-commands.ts';
import { addPurge } from './purge.ts';
import { addReport } from './report.ts';
import { addResult } from './result.ts';
import { addSchedule } from './schedule.ts';
import { Session, type GlobalOptions } from './session.ts';
import { addShell } from './shell.ts';
import { addStatus } from './status.ts';
import { addUpgrade } from './upgrade.ts';
import { addUserOptions } from './user-options.ts';
import { VERSION } from '../version.ts';
import { addWorker } from './worker.ts';

const EXAMPLES = `
Examples:
  celeriac worker -A app.ts                     run its tasks (TypeScript or JavaScript)
  celeriac call math.add -a '[2, 3]'            send one, print its id
  celeriac result <id>                          wait for what it returns
  celeriac -b redis://localhost inspect active  what is running right now

Every option has an environment variable: CELERY_APP, CELERY_BROKER_URL, CELERY_WORKER_CONCURRENCY, …
Exit codes: 0 done · 1 failed · 2 wrong usage · 69 nobody answered, or no broker
`;

const COMMANDS: readonly ((program: Command, session: Session) => void)[] = [
  ...[addWorker, addBeat, addCall, addResult, addInspect, addControl, addStatus, addPurge, addReport],
  ...[
    addList,
    addAmqp,
    addShell,
    addMigrate,
    addDlq,
    addGraph,
    addSchedule,
    addLogtool,
    addUpgrade,
    addMulti,
    addEvents,
    addInit,
    addCompletion,
  ],
];

/** The whole command line, ready to parse. */
export function buildProgram(session: Session, argv: readonly string[] = []): Command {
  const { io } = session;
  const program = new Command('celeriac')
    .description('Celery for TypeScript: run, call and watch tasks')
    .version(VERSION, '--version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => io.stdout.columns ?? 100,
      getErrHelpWidth: () => io.stderr.columns ?? 100,
      getOutHasColors: () => session.colours(io.stdout),
      getErrHasColors: () => session.colours(io.stderr),
      outputError: (text, write) => write(text.replace(/^error: /, 'Error: ')),
    })
    .configureHelp({ styleTitle: (text) => session.paint.strong(text) })
    .showHelpAfterError('(--help shows what there is)')
    .addHelpText('after', EXAMPLES)
    .option('-A, --app <module>', 'file (or module) that exports the app, with :name if it exports several')
    .option('-b, --broker <url>', 'broker, in place of the one the app names')
    .option('--result-backend <url>', 'result backend, in place of the one the app names')
    .option('--config <module>', 'module of settings, for commands without -A')
    .option('--workdir <directory>', 'change to this directory first')
    .option('-C, --no-color', 'no colours (also with NO_COLOR, and without a terminal)')
    .option('-q, --quiet', 'less output, no banner')
    .addOption(new Option('--loader <name>', 'read and left alone: scripts of Celery name it').hideHelp())
    .addOption(new Option('--skip-checks', "read and left alone: the checks are Django's").hideHelp())
    .hook('preSubcommand', (root, command) => addUserOptions(command, root, session, argv))
    .hook('preAction', (_program, command) => {
      for (let each: Command | null = command; each !== null; each = each.parent) applyEnvironment(each, io.env);
      session.configure(program.opts<GlobalOptions>());
      let named = command;
      while (named.parent !== null && named.parent !== program) named = named.parent;
      session.begin(named.name(), command.opts());
    });
  for (const add of COMMANDS) add(program, session);
  return program;
}

/**
 * Runs one command line.
 * @param argv what was typed after `celeriac`
 * @returns the exit code; never rejects
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const session = new Session(io);
  try {
    const multi = multiWords(argv);
    if (multi !== undefined) return await runMulti(session, multi);
    const program = buildProgram(session, argv);
    await addPluginCommands(program, session, argv);
    if (argv[0] === '__complete') {
      for (const word of candidates(program, argv.slice(1))) session.print(word);
      return EXIT.ok;
    }
    await program.parseAsync([...argv], { from: 'user' });
    return session.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return usageCode(error);
    const { text, exitCode } = endingOf(error);
    io.stderr.write(text);
    return exitCode;
  } finally {
    await session.close();
  }
}

/** Commander has printed it already. */
function usageCode(error: CommanderError): number {
  const asked = error.code === 'commander.helpDisplayed' || error.code === 'commander.version';
  return asked || error.exitCode === 0 ? EXIT.ok : EXIT.usage;
}
