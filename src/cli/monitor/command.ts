import { InvalidArgumentError, Option, type Command } from 'commander';
import type { LogLevel } from '../../runtime/logger.ts';
import { parseRate } from '../../runtime/rate.ts';
import { onStopSignals } from '../../runtime/signals.ts';
import { addDaemonOptions, daemonize, type DaemonFlags } from '../daemon.ts';
import { withDaemonSettings } from '../daemon-settings.ts';
import { CommandError, EXIT } from '../exit.ts';
import { LEVEL_NAMES, parseLevel } from '../logging/levels.ts';
import { logOutput } from '../logging/log-file.ts';
import { Printer } from '../logging/printer.ts';
import { textFormat } from '../logging/text-format.ts';
import { seconds } from '../options.ts';
import type { Session } from '../session.ts';
import { withUserOptions } from '../user-options.ts';
import { takePictures } from './camera.ts';
import { Dumper } from './dump.ts';
import { Monitor } from './monitor.ts';

interface EventsFlags extends DaemonFlags {
  readonly dump?: boolean;
  readonly json?: boolean;
  readonly camera?: string;
  readonly maxrate?: string;
  readonly loglevel: LogLevel;
  readonly frequency: number;
  /** Celery's other name for it. */
  readonly freq?: number;
}

/** `celeriac events` and `celeriac top`: what workers do, on a screen or line by line. */
export function addEvents(program: Command, session: Session): void {
  const frequency = (): Option =>
    new Option('-F, --frequency <seconds>', 'between pictures: of the screen, of a camera')
      .argParser(seconds)
      .default(1, '1.0');
  addDaemonOptions(program.command('events'))
    .description('watch workers and tasks on a full screen; --dump writes lines, --camera takes pictures')
    .option('-d, --dump', 'a line for each event')
    .option('-j, --json', 'with --dump: a line of JSON for each event')
    .option('-c, --camera <module>', 'call its onShutter(state) again and again: ./camera.ts:name')
    .addOption(frequency())
    .addOption(new Option('--freq <seconds>').argParser(seconds).hideHelp())
    .addOption(new Option('-r, --maxrate <rate>', 'at most so many pictures: 10/m').argParser(rate))
    .addOption(
      new Option('-l, --loglevel <level>', `of a camera, one of ${LEVEL_NAMES}`)
        .argParser(parseLevel)
        .default('info', 'INFO'),
    )
    .option('-f, --logfile <file>', "write a camera's log here instead of stderr")
    .action(async (typed: EventsFlags) => {
      const flags = { ...typed, frequency: typed.freq ?? typed.frequency };
      if (flags.camera !== undefined) return photograph(session, flags, flags.camera);
      if (flags.detach) {
        throw new CommandError('--detach is for a camera', { exitCode: EXIT.usage, hint: 'Name it with --camera' });
      }
      return flags.dump || flags.json ? dump(session, flags.json ?? false) : watch(session, flags);
    });
  program
    .command('top')
    .description('the same screen: live workers and tasks')
    .addOption(frequency())
    .action((flags: EventsFlags) => watch(session, flags));
}

async function photograph(session: Session, typed: EventsFlags, camera: string): Promise<void> {
  const flags = await withDaemonSettings(session, 'events', typed);
  const undo = await daemonize(session, flags);
  if (undo === 'detached') return;
  const output = logOutput(session, flags.logfile);
  const format = textFormat({ colours: session.colours(output) });
  const printer = new Printer({ output, clock: session.io.clock, level: flags.loglevel, format });
  try {
    const app = await session.app();
    session.useLog(app, printer);
    await takePictures(session, app, camera, flags, withUserOptions(app, 'events', flags, session.io.env));
  } finally {
    printer.flush();
    undo();
  }
}

function rate(text: string): string {
  try {
    parseRate(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

async function watch(session: Session, { frequency }: Pick<EventsFlags, 'frequency'>): Promise<void> {
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
