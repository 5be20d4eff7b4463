import { InvalidArgumentError, Option, type Command } from 'commander';
import type { EntryData, ScheduleData } from '../beat/entry-data.ts';
import { openSchedule, type ScheduleControl, type ScheduledEntry } from '../beat/schedule-control.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import type { SolarEvent } from '../schedules/solar.ts';
import { CommandError, EXIT } from './exit.ts';
import { positiveNumber } from './options.ts';
import type { Session } from './session.ts';

interface StoreFlags {
  readonly schedule?: string;
  readonly scheduler?: string;
  readonly json?: boolean;
}

interface EntryFlags extends StoreFlags {
  readonly task?: string;
  readonly every?: Duration;
  readonly relative?: boolean;
  readonly cron?: string;
  readonly solar?: ScheduleData;
  readonly timezone?: string;
  readonly args?: unknown;
  readonly kwargs?: unknown;
  readonly options?: unknown;
  readonly queue?: string;
  readonly start?: string;
  readonly end?: string;
  readonly maxRuns?: number;
  readonly overlap?: 'allow' | 'skip' | 'wait';
  readonly overlapLimit?: Duration;
  readonly jitter?: Duration;
  readonly catchUp?: Duration;
  readonly paused?: boolean;
}

const EXAMPLES = `
Examples:
  celeriac schedule list -A app.ts
  celeriac schedule add nightly mail.report -A app.ts --cron '0 3 * * *' --timezone Europe/Paris -a '["sales"]'
  celeriac schedule set nightly -A app.ts --cron '30 3 * * *'
  celeriac schedule pause nightly -A app.ts

Name the same -s and -S as for beat. A running beat notices a change within a second or so.
`;

/** `celeriac schedule`: periodic tasks looked at and changed while beat runs. */
export function addSchedule(program: Command, session: Session): void {
  const schedule = program
    .command('schedule')
    .description('show and change periodic tasks while beat runs')
    .addHelpText('after', EXAMPLES);
  const command = (name: string, description: string): Command =>
    withStore(schedule.command(name)).description(description);

  command('list', 'every entry, and when it runs next').action((flags: StoreFlags) =>
    using(session, flags, async (control) => {
      const entries = await control.list();
      if (flags.json) return session.json(entries.map(plain));
      for (const line of table(entries, session.io.clock.now())) session.print(line);
    }),
  );
  command('show', 'one entry with its arguments')
    .argument('<name>')
    .action((name: string, flags: StoreFlags) =>
      using(session, flags, async (control) => {
        const entry = await control.get(name);
        if (flags.json) return session.json(plain(entry));
        for (const [field, value] of Object.entries(plain(entry))) session.print(`${field.padEnd(16)} ${text(value)}`);
      }),
    );
  withEntry(command('add', 'add an entry'))
    .argument('<name>')
    .argument('<task>', 'name of the task to send')
    .action((name: string, task: string, flags: EntryFlags) =>
      using(session, flags, async (control) => {
        const data = { ...dataOf(flags), task };
        if (data.schedule === undefined)
          throw usage('say when: --every 30s, --cron "0 3 * * *" or --solar sunset,48.85,2.35');
        await control.add(name, data as EntryData);
        done(session, flags, name, 'added');
      }),
    );
  withEntry(command('set', 'replace fields of an entry'))
    .argument('<name>')
    .option('--task <name>', 'name of the task to send')
    .action((name: string, flags: EntryFlags) =>
      using(session, flags, async (control) => {
        const data = dataOf(flags);
        if (Object.keys(data).length === 0) throw usage('nothing to set: see --help');
        await control.change(name, data);
        done(session, flags, name, 'changed');
      }),
    );
  const simple = (verb: 'pause' | 'resume' | 'remove' | 'reset', description: string, past: string): void =>
    void command(verb, description)
      .argument('<name>')
      .action((name: string, flags: StoreFlags) =>
        using(session, flags, async (control) => {
          await control[verb](name);
          done(session, flags, name, past);
        }),
      );
  simple('pause', 'stop sending an entry', 'paused');
  simple('resume', 'send it again; what it missed is not made up', 'resumed');
  simple('remove', 'take an entry out, also one of the settings', 'removed');
  simple('reset', 'take back every change of an entry', 'reset');
  command('run', 'have beat send an entry now; prints the id of the run')
    .argument('<name>')
    .action((name: string, flags: StoreFlags) =>
      using(session, flags, async (control) => {
        const id = await control.runNow(name);
        if (flags.json) session.json({ name, id });
        else session.print(id);
      }),
    );
}

async function using(
  session: Session,
  flags: StoreFlags,
  work: (control: ScheduleControl) => Promise<void>,
): Promise<void> {
  const app = await session.app('tasks');
  const { scheduler, schedule: file } = flags;
  await using control = await openSchedule(app, { scheduler, file, directory: session.io.cwd() });
  await work(control);
}

function done(session: Session, flags: StoreFlags, name: string, what: string): void {
  if (flags.json) session.json({ name, [what]: true });
  else session.note(`${name}: ${what}`);
}

const usage = (message: string): CommandError => new CommandError(message, { exitCode: EXIT.usage });

function withStore(command: Command): Command {
  return command
    .option('-s, --schedule <file>', 'the schedule file of beat (default: celerybeat-schedule.json)')
    .option('-S, --scheduler <name>', 'what keeps the schedule: a name, or a module and its export (default: file)')
    .option('-j, --json', 'one line of JSON');
}

function withEntry(command: Command): Command {
  return command
    .addOption(new Option('--every <duration>', 'run this often: 30s, 5m, 12h').argParser(duration))
    .option('--relative', 'align --every to the clock')
    .option('--cron <line>', 'run at these times: minute hour day month weekday')
    .addOption(new Option('--solar <event,latitude,longitude>', 'run with the sun: sunset,48.85,2.35').argParser(sun))
    .option('--timezone <name>', 'IANA zone of --cron')
    .addOption(new Option('-a, --args <json>', 'positional arguments').argParser(json))
    .addOption(new Option('-k, --kwargs <json>', 'keyword arguments').argParser(json))
    .addOption(new Option('-o, --options <json>', "options of each run: Celery's names, seconds").argParser(json))
    .option('--queue <name>', 'queue of each run')
    .option('--start <time>', 'not before (ISO 8601)')
    .option('--end <time>', 'not after (ISO 8601)')
    .addOption(new Option('--max-runs <count>', 'stop after so many').argParser(positiveNumber))
    .addOption(new Option('--overlap <policy>', 'while the last run has no result').choices(['allow', 'skip', 'wait']))
    .addOption(new Option('--overlap-limit <duration>', 'the last run counts as lost after').argParser(duration))
    .addOption(new Option('--jitter <duration>', 'send late by up to').argParser(duration))
    .addOption(new Option('--catch-up <duration>', 'leave out a run that is later than').argParser(duration))
    .option('--paused', 'add it without sending it');
}

function dataOf(flags: EntryFlags): Partial<EntryData> {
  const { task, relative, args, kwargs, queue, start, end, maxRuns, overlap, overlapLimit, jitter, catchUp, paused } =
    flags;
  const schedule = scheduleOf(flags);
  const options = queue === undefined ? flags.options : { ...(flags.options as object | undefined), queue };
  const given = { task, schedule, relative, args, kwargs, options, start, end };
  const policy = { maxRuns, overlap, overlapLimit, jitter, catchUp, paused };
  return Object.fromEntries(
    Object.entries({ ...given, ...policy }).filter(([, value]) => value !== undefined),
  ) as Partial<EntryData>;
}

function scheduleOf({ every, cron, solar, timezone }: EntryFlags): ScheduleData | undefined {
  const given = [every, cron, solar].filter((one) => one !== undefined);
  if (given.length > 1) throw usage('one of --every, --cron and --solar');
  if (cron === undefined && timezone !== undefined) throw usage('--timezone belongs to --cron');
  if (solar !== undefined) return solar;
  return cron === undefined ? every : { crontab: cron, ...(timezone !== undefined && { timezone }) };
}

function duration(given: string): Duration {
  try {
    durationMs(given as Duration);
    return given as Duration;
  } catch {
    throw new InvalidArgumentError('Expected a duration, such as 30s, 5m or 12h.');
  }
}

function sun(given: string): ScheduleData {
  const [event, latitude = NaN, longitude = NaN, more] = given
    .split(',')
    .map((part, i) => (i === 0 ? part : Number(part)));
  if (Number.isNaN(latitude) || Number.isNaN(longitude) || more !== undefined) {
    throw new InvalidArgumentError('Expected an event and a place, such as sunset,48.85,2.35.');
  }
  return { solar: event as SolarEvent, latitude: latitude as number, longitude: longitude as number };
}

function json(given: string): unknown {
  try {
    return JSON.parse(given);
  } catch {
    throw new InvalidArgumentError('Expected JSON (mind the quotes of your shell).');
  }
}

/** Names and units of `--json`: ISO 8601 moments, null for none. */
function plain(entry: ScheduledEntry): Record<string, unknown> {
  const { lastRunMs, nextMs, totalRunCount, ...rest } = entry;
  return { ...rest, last_run_at: iso(lastRunMs), total_run_count: totalRunCount, next_run_at: iso(nextMs) };
}

const iso = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString());

const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

function table(entries: readonly ScheduledEntry[], nowMs: number): string[] {
  const rows = entries.map(({ name, task, schedule, paused, totalRunCount, nextMs }) => {
    const next = paused ? 'paused' : nextMs === undefined ? 'never' : nextMs <= nowMs ? 'due' : (iso(nextMs) as string);
    return [name, task, schedule, next, String(totalRunCount)];
  });
  const all = [['Name', 'Task', 'Schedule', 'Next run', 'Runs'], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => (row[column] as string).length)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
