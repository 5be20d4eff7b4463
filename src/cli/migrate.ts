import { Option, type Command } from 'commander';
import { Celery } from '../app/celery.ts';
import { queue, type Queue } from '../messaging/entity.ts';
import { moveMessages, type Moved, type Progress } from '../messaging/move.ts';
import { sleep } from '../runtime/clock.ts';
import { onStopSignals } from '../runtime/signals.ts';
import { openLink } from './broker-link.ts';
import { CommandError, EXIT } from './exit.ts';
import { moreNames, positiveNumber, seconds } from './options.ts';
import type { Session } from './session.ts';

interface MigrateFlags {
  readonly limit?: number;
  readonly timeout: number;
  readonly ackMessages?: boolean;
  readonly tasks?: readonly string[];
  readonly queues?: readonly string[];
  readonly forever?: boolean;
  readonly json?: boolean;
}

/** `celeriac migrate SOURCE DESTINATION`: takes what waits on one broker to another. */
export function addMigrate(program: Command, session: Session): void {
  program
    .command('migrate')
    .description('copy or move (-a) the tasks that wait on one broker to another')
    .argument('<source>', 'URL of the broker they are on')
    .argument('<destination>', 'URL of the broker they go to')
    .addOption(new Option('-n, --limit <n>', 'no more than this many').argParser(positiveNumber))
    .addOption(
      new Option('-t, --timeout <seconds>', 'with --forever: how often to look').argParser(seconds).default(1, '1.0'),
    )
    .option('-a, --ack-messages', 'remove them from the source once they have arrived')
    .addOption(new Option('-T, --tasks <names>', 'only these tasks: a.add,b.mul').argParser(moreNames))
    .addOption(new Option('-Q, --queues <names>', 'only these queues; old:new renames one').argParser(moreNames))
    .option('-F, --forever', 'go on with what comes later, until a signal ends it')
    .option('-j, --json', 'print {"moved": …, "left": …} at the end, and no progress')
    .addHelpText(
      'after',
      '\nA message is acknowledged at the source after the destination owns it: a kill on the way may leave one on both\n' +
        'sides, and never on neither. Run it again to go on.\n',
    )
    .action(async (source: string, destination: string, flags: MigrateFlags) => {
      if (flags.forever && !flags.ackMessages) {
        throw new CommandError('--forever would copy the same messages again and again', {
          exitCode: EXIT.usage,
          hint: 'Add --ack-messages (-a), which moves them',
        });
      }
      const app = await session.app();
      const stop = new AbortController();
      const { io } = session;
      const undo = onStopSignals({ source: io.signals, env: io.env, stop: () => stop.abort() });
      try {
        const { moved, left } = await migrate(session, app, { source, destination, flags, signal: stop.signal });
        if (flags.json) session.json({ moved, left });
        else
          session.print(`${flags.ackMessages ? 'Moved' : 'Copied'} ${moved} tasks${left > 0 ? `, left ${left}` : ''}.`);
      } finally {
        undo();
      }
    });
}

interface Migration {
  readonly source: string;
  readonly destination: string;
  readonly flags: MigrateFlags;
  readonly signal: AbortSignal;
}

/** Names and new names of `a,b:c`; without `-Q` every queue that the app consumes. */
function queuesOf(app: Celery, given: readonly string[] | undefined): { queues: Queue[]; rename: Map<string, string> } {
  const rename = new Map<string, string>();
  if (given === undefined) return { queues: [...app.queues.consumed], rename };
  const known = new Map(app.queues.consumed.map((one) => [one.name, one]));
  const queues = given.map((text) => {
    const [name = '', to] = text.split(':');
    if (to !== undefined) rename.set(name, to);
    return known.get(name) ?? queue(name);
  });
  return { queues, rename };
}

async function migrate(
  session: Session,
  app: Celery,
  { source, destination, flags, signal }: Migration,
): Promise<Moved> {
  const { env } = session.io;
  const open = async (url: string): Promise<Awaited<ReturnType<typeof openLink>>> => {
    const { CELERY_BROKER_URL: _own, CELERY_BROKER_READ_URL: _read, ...rest } = env;
    const side = new Celery({ broker: url, env: rest, clock: app.clock, random: app.random, log: app.log });
    return openLink(side, await side.transport());
  };
  await using from = await open(source);
  await using to = await open(destination);
  const { queues, rename } = queuesOf(app, flags.queues);
  const wanted = flags.tasks && new Set(flags.tasks);
  const done = { moved: 0, left: 0 };
  for (;;) {
    const round = await moveMessages({
      source: from.channel,
      destination: to.channel,
      queues,
      rename,
      signal,
      acknowledge: flags.ackMessages ?? false,
      ...(wanted && { select: ({ headers }) => wanted.has(String(headers['task'])) }),
      ...(flags.limit !== undefined && { limit: flags.limit - done.moved }),
      ...(!flags.json && { onMoved: (progress) => show(session, progress, done.moved) }),
    });
    done.moved += round.moved;
    done.left = round.left;
    if (!flags.forever || signal.aborted || done.moved >= (flags.limit ?? Infinity)) return done;
    await sleep(app.clock, flags.timeout * 1000, signal).catch(() => {});
  }
}

function show(session: Session, { moved, total, delivery }: Progress, before: number): void {
  const { headers } = delivery.message;
  const count = before + moved;
  const what = `${String(headers['task'] ?? '?')}[${String(headers['id'] ?? '?')}]`;
  session.note(`Migrating task ${count}/${Math.max(total + before, count)}: ${what}`);
}
