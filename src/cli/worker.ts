import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Celery } from '../app/celery.ts';
import { redirectConsole } from '../app/redirect-console.ts';
import { loadIncludes } from '../app/load-source.ts';
import { parseSettingAssignments } from '../app/setting-assignments.ts';
import { openInspector } from '../runtime/inspector.ts';
import { onCrash, onDebugSignals, onStopSignals, type StopHow } from '../runtime/signals.ts';
import type { LogLevel } from '../runtime/logger.ts';
import { parseAutoscale } from '../worker/autoscale.ts';
import { benchmark } from '../diagnostics/bench.ts';
import { measure } from '../diagnostics/prometheus.ts';
import type { PoolFactory } from '../pools/names.ts';
import { HealthServer, Worker, type WorkerOptions } from '../worker/index.ts';
import { Beat } from '../beat/beat.ts';
import { banner } from './banner.ts';
import { storeOf } from './beat.ts';
import { addDaemonOptions, daemonize, type DaemonFlags } from './daemon.ts';
import { withDaemonSettings } from './daemon-settings.ts';
import { CommandError, EXIT } from './exit.ts';
import { nodeFile, nodeName } from '../worker/node-name.ts';
import { jsonFormat } from './logging/json-format.ts';
import { LEVEL_NAMES, parseLevel } from './logging/levels.ts';
import { logOutput } from './logging/log-file.ts';
import { Printer } from './logging/printer.ts';
import { textFormat } from './logging/text-format.ts';
import { addAgent, autoscalePolicy, poolOf } from './worker-pool.ts';
import { moreNames, positiveNumber, seconds, wholeNumber } from './options.ts';
import type { Session } from './session.ts';
import { withUserOptions } from './user-options.ts';

interface WorkerFlags extends DaemonFlags {
  readonly hostname?: string;
  readonly loglevel: LogLevel;
  readonly logfile?: string;
  readonly queues?: readonly string[];
  readonly excludeQueues?: readonly string[];
  readonly concurrency?: number;
  readonly pool?: string;
  readonly slots?: number;
  readonly autoscale?: { readonly max: number; readonly min: number };
  readonly maxTasksPerChild?: number;
  readonly maxMemoryPerChild?: number;
  readonly include?: readonly string[];
  readonly taskEvents?: boolean;
  readonly events?: boolean;
  readonly timeLimit?: number;
  readonly softTimeLimit?: number;
  readonly prefetchMultiplier?: number;
  readonly disablePrefetch?: boolean;
  readonly heartbeatInterval?: number;
  /** Commander's spelling of `--without-heartbeat`. */
  readonly withoutHeartbeat?: boolean;
  readonly withoutGossip?: boolean;
  readonly withoutMingle?: boolean;
  readonly statedb?: string;
  readonly drainTimeout?: number;
  readonly purge?: boolean;
  readonly discard?: boolean;
  readonly json?: boolean;
  readonly health?: string;
  readonly beat?: boolean;
  readonly scheduler?: string;
  readonly scheduleFilename?: string;
  /** Celery's other name for it. */
  readonly schedule?: string;
}

/** `celeriac worker -A app.ts`: consumes queues and runs their tasks until it is told to stop. */
export function addWorker(program: Command, session: Session): void {
  addDaemonOptions(program.command('worker'))
    .description('run the tasks of an app')
    .argument('[settings...]', 'settings for this worker alone: worker.prefetch_multiplier=1')
    .option('-n, --hostname <name>', 'node name; %h host, %n name, %d domain (default: celery@%h)')
    .addOption(
      new Option('-l, --loglevel <level>', `one of ${LEVEL_NAMES}`).argParser(parseLevel).default('info', 'INFO'),
    )
    .option('-f, --logfile <file>', 'write the log here instead of stderr')
    .addOption(
      new Option('-c, --concurrency <n>', 'tasks at a time, or children of a process or thread pool').argParser(
        positiveNumber,
      ),
    )
    .option(
      '-P, --pool <name>',
      'async (many tasks in one event loop), process, thread, solo, or a module: ./pool.ts:name',
    )
    .addOption(new Option('--autoscale <max,min>', 'children by load, between these numbers').argParser(autoscaleRange))
    .addOption(new Option('--slots <n>', 'tasks at a time in each child').argParser(positiveNumber))
    .addOption(new Option('--max-tasks-per-child <n>', 'replace a child after as many').argParser(positiveNumber))
    .addOption(
      new Option('--max-memory-per-child <kilobytes>', 'replace a child that uses more').argParser(positiveNumber),
    )
    .addOption(new Option('-Q, --queues <names>', 'consume only these: a,b').argParser(moreNames))
    .addOption(new Option('-X, --exclude-queues <names>', 'consume all but these').argParser(moreNames))
    .addOption(
      new Option('-I, --include <modules>', "more files with tasks, globs too: './src/**/*.tasks.ts'").argParser(
        moreNames,
      ),
    )
    .option('-E, --task-events', 'report what tasks do, for monitors')
    .addOption(new Option('--events').hideHelp())
    .addOption(new Option('--time-limit <seconds>', 'end tasks after this long').argParser(seconds))
    .addOption(new Option('--soft-time-limit <seconds>', 'abort ctx.signal after this long').argParser(seconds))
    .addOption(new Option('--prefetch-multiplier <n>', 'messages fetched ahead for each slot').argParser(wholeNumber))
    .option('--disable-prefetch', 'fetch only what can start at once')
    .addOption(new Option('--heartbeat-interval <seconds>', 'between heartbeat events').argParser(seconds))
    .option('--without-heartbeat', 'no heartbeat events')
    .option('--without-gossip', 'do not listen to other workers; no part in elections')
    .option('--without-mingle', 'do not ask other workers at the start what is revoked')
    .option('-S, --statedb <file>', 'remember revoked tasks across restarts here; %n, %h, %d of the node name')
    .addOption(
      new Option('--drain-timeout <seconds>', 'longest wait for running tasks in a warm stop').argParser(seconds),
    )
    .option('--purge', 'drop what waits in the queues first')
    .addOption(new Option('--discard').hideHelp())
    .option('--health <where>', 'answer /live, /ready and /metrics on a port, host:port or socket path')
    .option('-B, --beat', 'send periodic tasks too; with one worker only')
    .option('--scheduler <name>', 'what keeps the schedule of --beat: a name, or a module and its export')
    .option('-s, --schedule-filename <file>', 'where the last runs are kept (default: celerybeat-schedule.json)')
    .addOption(new Option('--schedule <file>').hideHelp())
    .addOption(
      new Option('-O, --optimization <name>', 'both are fair: a task goes to a child that is free').choices([
        'default',
        'fair',
      ]),
    )
    .option('-j, --json', 'the log as lines of JSON')
    .addHelpText(
      'after',
      '\nSIGTERM, or Ctrl-C once: finish what runs, then stop. Ctrl-C twice, or SIGQUIT: stop now, unfinished tasks\n' +
        'go back to the broker; with worker_soft_shutdown_timeout they have that long, and the next signal stops now.\n' +
        'REMAP_SIGTERM=SIGQUIT makes SIGTERM do the same. One more signal: leave at once.\n' +
        'SIGHUP, without a terminal: finish what runs, then begin anew with the same arguments.\n' +
        'Exit codes: 0 stopped, 1 interrupted, failed or broker lost for good, 69 broker out of reach at the start.\n',
    )
    .action(async (settings: readonly string[], typed: WorkerFlags) => {
      const set = await withDaemonSettings(session, 'worker', typed);
      const flags = { ...set, ...namedFiles(set) };
      const undo = await daemonize(session, flags);
      if (undo === 'detached') return;
      const app = await session.app('tasks');
      if (settings.length > 0) app.configure(parseSettingAssignments(settings, 'worker'));
      const printer = await setUpLog(session, app, flags);
      const undoConsole = redirectConsole(app);
      try {
        await loadIncludes(app, session.loader, flags.include ?? [], session.io.cwd());
        const code = await runWorker(session, app, flags, settings, printer);
        if (code === RESTART) {
          await app.close();
          printer.flush();
          session.exitCode = (await session.io.respawn?.()) ?? EXIT.ok;
        } else session.exitCode = code;
      } finally {
        undoConsole();
        printer.flush();
        undo();
      }
    });
}

/** The node's name, and the log file's, with their patterns filled in. */
function namedFiles({ hostname, logfile }: WorkerFlags): { hostname: string; logfile?: string } {
  const name = nodeName(hostname);
  return { hostname: name, ...(logfile !== undefined && { logfile: nodeFile(logfile, name) }) };
}

/** The worker's log, unless a handler of `setupLogging` takes that over. */
async function setUpLog(session: Session, app: Celery, flags: WorkerFlags & { hostname: string }): Promise<Printer> {
  const logger = workerLog(session, app, flags);
  const colorize = app.conf.workerLogColor ?? session.colours(session.io.stderr);
  const event = { sender: flags.hostname, loglevel: flags.loglevel, logfile: flags.logfile ?? null, colorize };
  if (app.signals.has('setupLogging')) {
    await app.signals.emit('setupLogging', { ...event, attach: (own) => session.useLog(app, own) });
    return logger;
  }
  session.useLog(app, logger);
  await app.signals.emit('afterSetupLogger', { ...event, logger });
  await app.signals.emit('afterSetupTaskLogger', { ...event, logger });
  return logger;
}

function workerLog(session: Session, app: Celery, flags: WorkerFlags): Printer {
  const { io } = session;
  const output = logOutput(session, flags.logfile);
  const { workerLogColor, workerLogFormat, workerTaskLogFormat } = app.conf;
  const format = flags.json
    ? jsonFormat
    : textFormat({
        colours: workerLogColor ?? session.colours(output),
        ...(workerLogFormat && { format: workerLogFormat }),
        ...(workerTaskLogFormat && { taskFormat: workerTaskLogFormat }),
      });
  return new Printer({ output, clock: io.clock, level: flags.loglevel, format });
}

function autoscaleRange(text: string): { readonly max: number; readonly min: number } {
  try {
    return parseAutoscale(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function workerOptions(
  session: Session,
  app: Celery,
  flags: WorkerFlags,
  settings: readonly string[],
  pool: string | PoolFactory | undefined,
): WorkerOptions {
  const ms = (value: number | undefined): number | undefined => (value === undefined ? undefined : value * 1000);
  return {
    hostname: flags.hostname,
    queues: flags.queues,
    excludeQueues: flags.excludeQueues,
    concurrency: flags.concurrency,
    pool,
    slots: flags.slots,
    maxTasksPerChild: flags.maxTasksPerChild,
    maxMemoryPerChild: flags.maxMemoryPerChild,
    appModule: {
      module: session.options.app as string,
      directory: session.io.cwd(),
      include: flags.include,
      settings,
    },
    userOptions: withUserOptions(app, 'worker', flags, session.io.env),
    taskEvents: flags.taskEvents ?? flags.events,
    timeLimit: ms(flags.timeLimit),
    softTimeLimit: ms(flags.softTimeLimit),
    prefetchMultiplier: flags.prefetchMultiplier,
    disablePrefetch: flags.disablePrefetch,
    heartbeatInterval: ms(flags.heartbeatInterval),
    withoutHeartbeat: flags.withoutHeartbeat,
    withoutGossip: flags.withoutGossip,
    withoutMingle: flags.withoutMingle,
    stateDb: flags.statedb === undefined ? undefined : session.path(flags.statedb),
    drainTimeout: ms(flags.drainTimeout),
    purge: flags.purge ?? flags.discard,
  };
}

/** The worker is to begin anew. */
const RESTART = 'restart';

/** @returns the exit code. Source of the codes: spec worker-semantics.md 11 */
async function runWorker(
  session: Session,
  app: Celery,
  flags: WorkerFlags,
  settings: readonly string[],
  log: Printer,
): Promise<number | typeof RESTART> {
  const { io } = session;
  const pool = await poolOf(session, app, flags.pool);
  const autoscale = flags.autoscale && { ...flags.autoscale, policy: await autoscalePolicy(session, app) };
  await addAgent(session, app);
  const worker = new Worker(app, { ...workerOptions(session, app, flags, settings, pool), autoscale });
  // Selected here too, so that the banner shows what will be consumed.
  if (flags.queues?.length) app.queues.select(flags.queues);
  if (flags.excludeQueues?.length) app.queues.deselect(flags.excludeQueues);
  if (!session.options.quiet && !flags.json) session.print(await banner(session, app, worker, flags));

  let interrupted = false;
  let restarts = false;
  const stop = (how: StopHow, signal: NodeJS.Signals): void => {
    if (how === 'now') {
      app.log.fatal({ signal }, 'stopping at once');
      return io.exit(EXIT.failure);
    }
    restarts = false;
    // Celery's codes: Ctrl-C once is 1; whatever ends in a cold stop is 0.
    interrupted = how === 'warm' && signal === 'SIGINT';
    if (signal === 'SIGINT' && how === 'warm') session.note('\nworker: hitting Ctrl+C again stops without waiting');
    app.log.warn({ signal, running: worker.active }, `${how} shutdown`);
    void worker.stop(how, signal);
  };
  const undebuggable = (error: unknown): void => app.log.error({ error }, 'this process cannot be looked at');
  const bench = io.env['C_BENCH'] || io.env['CELERY_BENCH'];
  const every = Number(io.env['C_BENCH_EVERY'] || io.env['CELERY_BENCH_EVERY'] || 1_000);
  const endBench = bench ? benchmark(app, (line) => session.note(line), every) : undefined;
  const soft = app.conf.workerSoftShutdownTimeout > 0;
  const undoSignals = onStopSignals({ source: io.signals, env: io.env, soft, stop });
  const restart = (): void => {
    restarts = true;
    app.log.warn({ running: worker.active }, 'restarting as soon as what runs has ended');
    void worker.stop('warm', 'SIGHUP');
  };
  // As in Celery: on a terminal it means that the terminal is gone.
  const listens = io.respawn !== undefined && io.stdin.isTTY !== true;
  if (listens) io.signals.on('SIGHUP', restart);
  const undoDebug = onDebugSignals({
    source: io.signals,
    env: io.env,
    dump: () => void worker.dump().then((text) => app.log.warn({}, `what this worker does\n${text}`), undebuggable),
    debug: () => void openInspector(io.env, app.log).catch(undebuggable),
  });
  const undoCrash = onCrash(io.signals, app.log, () => {
    log.flush();
    io.exit(EXIT.failure);
  });
  try {
    await using health = await startHealth(worker, flags.health ?? app.conf.workerHealth);
    if (health) app.log.info({ address: health.address }, 'health server listens');
    await using _beat = flags.beat ? embeddedBeat(session, app, flags) : undefined;
    const { error } = await worker.run();
    if (error !== undefined) {
      // A broker that was there and is given up is Celery's 1; one that never was is told apart.
      if (worker.vitals?.connects) throw new CommandError(error.message, { cause: error });
      throw error;
    }
    if (restarts) return RESTART;
    return interrupted ? EXIT.failure : EXIT.ok;
  } finally {
    if (listens) io.signals.off('SIGHUP', restart);
    endBench?.();
    undoSignals();
    undoDebug();
    undoCrash();
  }
}

/** Embedded beat looks every second, as in Celery; one that fails is reported and leaves the worker alone. */
function embeddedBeat(session: Session, app: Celery, flags: WorkerFlags): AsyncDisposable {
  const stop = new AbortController();
  const run = async (): Promise<void> => {
    const userOptions = withUserOptions(app, 'worker', flags, session.io.env);
    const store = await storeOf(session, app, flags.scheduler, flags.scheduleFilename ?? flags.schedule);
    try {
      await new Beat(app, { store, maxInterval: '1s', embeddedIn: flags.hostname, userOptions }).run({
        signal: stop.signal,
      });
    } finally {
      await store.close?.();
    }
  };
  const ended = run().catch((error: unknown) => app.log.error({ error }, 'beat failed'));
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

/** Metrics are served where their package is installed. */
async function startHealth(worker: Worker, listen: string | null): Promise<HealthServer | undefined> {
  if (listen === null) return undefined;
  const metrics = await measure(worker).catch(() => undefined);
  if (metrics) worker.app.on('workerShutdown', () => metrics.stop(), { sender: worker.hostname, once: true });
  const health = new HealthServer(worker, { listen, metrics: metrics && (() => metrics.page()) });
  await health.start();
  return health;
}
