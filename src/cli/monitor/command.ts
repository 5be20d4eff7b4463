import { Option, type Command } from 'commander';
import { onStopSignals } from '../../runtime/signals.ts';
import { CommandError, EXIT } from '../exit.ts';
import { seconds } from '../options.ts';
import type { Session } from '../session.ts';
import { Dumper } from './dump.ts';
import { Monitor } from './monitor.ts';

interface EventsFlags {
  readonly dump?: boolean;
  readonly json?: boolean;
  readonly frequency: number;
}

/** `celeriac events` and `celeriac top`: what workers do, on a screen or line by line. */
export function addEvents(program: Command, session: Session): void {
  const frequency = (): Option =>
    new Option('-F, --frequency <seconds>', 'how often the screen is drawn').argParser(seconds).default(1, '1.0');
  program
    .command('events')
    .description('watch workers and tasks on a full screen; --dump writes lines')
    .option('-d, --dump', 'a line for each event')
    .option('-j, --json', 'with --dump: a line of JSON for each event')
    .addOption(frequency())
    .action(async (flags: EventsFlags) =>
      flags.dump || flags.json ? dump(session, flags.json ?? false) : watch(session, flags),
    );
  program
    .command('top')
    .description('the same screen: live workers and tasks')
    .addOption(frequency())
    .action((flags: EventsFlags) => watch(session, flags));
}

async function watch(session: Session, { frequency }: EventsFlags): Promise<void> {
  const { stdin, stdout } = session.io;
  if (!stdin.isTTY || !stdout.isTTY) {
    throw new CommandError('the screen needs a terminal', {
      exitCode: EXIT.usage,
      hint: 'Lines instead: celeriac events --dump',
    });
  }
  await new Monitor(await session.app(), session, Math.max(50, frequency * 1000)).run();
}

async function dump(session: Session, json: boolean): Promise<void> {
  const app = await session.app();
  const { io } = session;
  const stop = new AbortController();
  const undo = onStopSignals({ source: io.signals, env: io.env, stop: () => stop.abort() });
  const dumper = new Dumper();
  session.note(`-> dumping events of ${(await app.transport()).displayUrl}; Ctrl-C ends it`);
  try {
    for await (const event of app.events({ enable: true, signal: stop.signal })) {
      if (json) session.json(event);
      else session.print(dumper.line(event as unknown as Readonly<Record<string, unknown>>));
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    undo();
  }
}
