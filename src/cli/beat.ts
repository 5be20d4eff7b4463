import { Option, type Command } from 'commander';
import { Beat } from '../beat/beat.ts';
import { openStore } from '../beat/scheduler.ts';
import type { ScheduleStore } from '../beat/schedule-store.ts';
import { loadIncludes } from '../app/load-source.ts';
import { parseSettingAssignments } from '../app/setting-assignments.ts';
import type { Celery } from '../app/celery.ts';
import type { LogLevel } from '../runtime/logger.ts';
import { onStopSignals } from '../runtime/signals.ts';
import { addDaemonOptions, daemonize, type DaemonFlags } from './daemon.ts';
import { withDaemonSettings } from './daemon-settings.ts';
import { EXIT } from './exit.ts';
import { jsonFormat } from './logging/json-format.ts';
import { LEVEL_NAMES, parseLevel } from './logging/levels.ts';
import { logOutput } from './logging/log-file.ts';
import { Printer } from './logging/printer.ts';
import { textFormat } from './logging/text-format.ts';
import { moreNames, seconds } from './options.ts';
import type { Session } from './session.ts';
import { withUserOptions } from './user-options.ts';

interface BeatFlags extends DaemonFlags {
  readonly loglevel: LogLevel;
  readonly schedule?: string;
  readonly scheduler?: string;
  readonly maxInterval?: number;
  readonly include?: readonly string[];
  readonly json?: boolean;
}

/** `celeriac beat -A app.ts`: sends periodic tasks when they are due. */
export function addBeat(program: Command, session: Session): void {
  addDaemonOptions(program.command('beat'))
    .description('send periodic tasks when they are due; run exactly one')
    .argument('[settings...]', 'settings for this beat alone: beat.max_loop_interval=5')
    .option('-s, --schedule <file>', 'where the last runs are kept (default: celerybeat-schedule.json)')
    .option('-S, --scheduler <name>', 'what keeps the schedule: a name, or a module and its export (default: file)')
    .addOption(new Option('--max-interval <seconds>', 'longest sleep between two looks').argParser(seconds))
    .addOption(
      new Option('-l, --loglevel <level>', `one of ${LEVEL_NAMES}`).argParser(parseLevel).default('info', 'INFO'),
    )
    .option('-f, --logfile <file>', 'write the log here instead of stderr')
    .addOption(new Option('-I, --include <modules>', 'more files with tasks').argParser(moreNames))
    .option('-j, --json', 'the log as lines of JSON')
    .action(async (settings: readonly string[], typed: BeatFlags) => {
      const flags = await withDaemonSettings(session, 'beat', typed);
      const undo = await daemonize(session, flags);
      if (undo === 'detached') return;
      try {
        const app = await session.app('tasks');
        if (settings.length > 0) app.configure(parseSettingAssignments(settings, 'beat'));
        await loadIncludes(app, session.loader, flags.include ?? [], session.io.cwd());
        await run(session, app, flags);
      } finally {
        undo();
      }
    });
}

async function run(session: Session, app: Celery, flags: BeatFlags): Promise<void> {
  const { io } = session;
  const output = logOutput(session, flags.logfile);
  const format = flags.json ? jsonFormat : textFormat({ colours: session.colours(output) });
  const printer = new Printer({ output, clock: io.clock, level: flags.loglevel, format });
  session.useLog(app, printer);
  const maxInterval = flags.maxInterval === undefined ? undefined : flags.maxInterval * 1000;
  const store = await storeOf(session, app, flags.scheduler, flags.schedule);
  const beat = new Beat(app, { store, maxInterval, userOptions: withUserOptions(app, 'beat', flags, io.env) });
  if (!session.options.quiet && !flags.json)
    session.print(banner(app, beat, store, (await app.transport()).displayUrl));
  const stop = new AbortController();
  const undoSignals = onStopSignals({
    source: io.signals,
    env: io.env,
    stop: (how) => (how === 'now' ? io.exit(EXIT.failure) : stop.abort()),
  });
  try {
    await beat.run({ signal: stop.signal });
  } finally {
    undoSignals();
    await store.close?.();
    printer.flush();
  }
}

/** The store that `-S` and `-s` name, else the one of the settings. */
export function storeOf(
  session: Session,
  app: Celery,
  scheduler: string | undefined,
  file: string | undefined,
): Promise<ScheduleStore> {
  return openStore(app, { scheduler, file, directory: session.io.cwd() });
}

function banner(app: Celery, beat: Beat, store: ScheduleStore, broker: string): string {
  const rows = [
    ['broker', broker],
    ['db', store.name],
    ['timezone', app.conf.timezone ?? (app.conf.enableUtc ? 'UTC' : 'local')],
    ['maxinterval', `${beat.maxIntervalMs / 1000} s`],
  ];
  return `celeriac beat\n${rows.map(([name, value]) => `    . ${name} -> ${value}`).join('\n')}`;
}
