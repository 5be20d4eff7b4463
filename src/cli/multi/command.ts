import { spawn } from 'node:child_process';
import { hostname } from 'node:os';
import { constants } from 'node:os';
import type { Command } from 'commander';
import { sleep } from '../../runtime/clock.ts';
import { makeFolder } from '../daemon.ts';
import { CommandError, EXIT } from '../exit.ts';
import { isAlive, readPid } from '../pidfile.ts';
import type { Session } from '../session.ts';
import { splitWords } from '../words.ts';
import { nodesOf } from './cluster.ts';
import type { Node } from './node.ts';
import { parseWords } from './options.ts';

const USAGE = `Usage: celeriac multi start <node1 node2 … | number> [worker options]
       celeriac multi stop|stopwait <nodes> [-SIG (default: -TERM)]
       celeriac multi restart <nodes> [-SIG] [worker options]
       celeriac multi kill <nodes>
       celeriac multi show|names <nodes> [worker options]
       celeriac multi get <node> <nodes> [worker options]
       celeriac multi expand <template> <nodes>

Nodes: a number (3 is celery1 to celery3), or names (w1 w2@other.host).
Options of single nodes: -c:1 10 · -Q:1-3,5 images · -c:w2 4. Everything behind -- is passed on as it is.
Files: --pidfile=/var/run/celery/%n.pid --logfile=/var/log/celery/%n%I.log (%n name, %h node, %d host)
Also: --cmd --append --prefix --suffix --range-prefix --hostname --executable --quiet --verbose --nosplash --no-color
`;

const POLL_MS = 50;

/** So that `--help` lists it; its words are read by `runMulti`. */
export function addMulti(program: Command): void {
  program.command('multi').description('start, stop, restart many workers: celeriac multi help');
}

/** Words behind `multi`, when that is the command; global options before it go with them, as in Celery. */
export function multiWords(argv: readonly string[]): string[] | undefined {
  const at = argv.indexOf('multi');
  const before = argv.slice(0, at);
  const options = before.every((word, index) => word.startsWith('-') || before[index - 1]?.startsWith('-'));
  return at < 0 || !options ? undefined : [...argv.slice(at + 1), ...before];
}

interface Run {
  readonly session: Session;
  readonly words: readonly string[];
  readonly nodes: readonly Node[];
  readonly verbose: boolean;
  readonly note: (text: string) => void;
}

/** Source: celery.bin.multi. @returns the exit code */
export async function runMulti(session: Session, given: readonly string[]): Promise<number> {
  const reserved = ['--nosplash', '--quiet', '-q', '--verbose', '--no-color'];
  const words = given.filter((word) => !reserved.includes(word));
  const quiet = given.includes('--quiet') || given.includes('-q');
  const [command, ...rest] = words;
  if (command === undefined || command.startsWith('-')) throw usage('multi: start, stop or what?');
  if (command === 'help') {
    session.print(USAGE.trimEnd());
    return EXIT.ok;
  }
  const act = COMMANDS[command];
  if (act === undefined) throw usage(`multi: no command "${command}"`);
  const wanted = command === 'get' || command === 'expand' ? rest.shift() : undefined;
  let nodes: Node[];
  try {
    nodes = nodesOf(parseWords(rest), {
      command: workerCommand(),
      executable: process.execPath,
      hostname: hostname(),
    });
  } catch (error) {
    throw error instanceof RangeError ? usage(`multi: ${error.message}`) : error;
  }
  if (nodes.length === 0) throw usage(`multi ${command}: which nodes?`);
  const note = (text: string): void => {
    if (!quiet) session.print(text);
  };
  return act({ session, words: rest, nodes, verbose: given.includes('--verbose'), note }, wanted ?? '');
}

const COMMANDS: Readonly<Record<string, (run: Run, wanted: string) => Promise<number>>> = {
  start: async (run) => {
    run.note('> Starting nodes...');
    return startAll(run, run.nodes);
  },
  stop: async (run) => {
    await stopAll(run, false);
    return EXIT.ok;
  },
  stopwait: async (run) => {
    await stopAll(run, true);
    return EXIT.ok;
  },
  stop_verify: async (run) => {
    await stopAll(run, true);
    return EXIT.ok;
  },
  restart: async (run) => {
    await stopAll(run, true);
    return startAll(run, run.nodes);
  },
  kill: async (run) => {
    for (const node of run.nodes) signalNode(run, node, 'SIGKILL');
    return EXIT.ok;
  },
  show: async ({ session, nodes }) => {
    for (const { commandLine } of nodes) session.print(commandLine.trimEnd());
    return EXIT.ok;
  },
  names: async ({ session, nodes }) => {
    for (const { name } of nodes) session.print(name);
    return EXIT.ok;
  },
  get: async ({ session, nodes }, wanted) => {
    const node = nodes.find(({ name }) => name === wanted);
    if (node === undefined) return EXIT.failure;
    session.print(node.argv.join(' ').trimEnd());
    return EXIT.ok;
  },
  expand: async ({ session, nodes }, template) => {
    for (const node of nodes) session.print(node.expand(template));
    return EXIT.ok;
  },
};

function usage(message: string): CommandError {
  return new CommandError(message, { exitCode: EXIT.usage, hint: USAGE.trimEnd() });
}

/** This very program, as a shell would be told. */
function workerCommand(): string {
  const quoted = [...process.execArgv, process.argv[1] ?? 'celeriac'].map((word) =>
    /[^\w@%+=:,./-]/.test(word) ? `'${word.replaceAll("'", `'"'"'`)}'` : word,
  );
  return [...quoted, 'worker', '--detach'].join(' ');
}

async function startAll(run: Run, nodes: readonly Node[]): Promise<number> {
  let failed = false;
  for (const node of nodes) {
    const code = await start(run, node);
    run.note(`\t> ${node.name}: ${code === 0 ? run.session.paint.good('OK') : run.session.paint.bad('FAILED')}`);
    failed ||= code !== 0;
  }
  return failed ? EXIT.failure : EXIT.ok;
}

function start({ session, verbose, note }: Run, node: Node): Promise<number> {
  const [program = '', ...argv] = splitWords(node.commandLine);
  if (verbose) note(`  ${node.commandLine}`);
  for (const file of [node.pidfile, node.logfile]) makeFolder(session.path(file));
  const child = spawn(program, argv, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: session.io.env,
    cwd: session.io.cwd(),
  });
  return new Promise((resolve) => {
    child.once('error', ({ message }) => {
      note(`* ${message}`);
      resolve(EXIT.failure);
    });
    child.once('exit', (code, signal) => {
      if (signal !== null) note(`* Child was terminated by signal ${signal}`);
      else if (code !== 0) note(`* Child terminated with exit code ${code}`);
      resolve(code ?? EXIT.failure);
    });
  });
}

/** `-KILL`, `-SIGKILL`, `-9` among the words; the last one counts. */
function signalOf(words: readonly string[]): NodeJS.Signals {
  const names = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));
  for (const word of [...words].reverse()) {
    if (/^-\d$/.test(word)) return (names.get(Number(word[1]) as never) ?? 'SIGTERM') as NodeJS.Signals;
    const name = word.startsWith('-SIG') ? word.slice(1) : `SIG${word.slice(1)}`;
    if (word.startsWith('-') && name in constants.signals) return name as NodeJS.Signals;
  }
  return 'SIGTERM';
}

/** @returns the process, when there is one to be waited for */
function signalNode({ session, note }: Run, node: Node, signal: NodeJS.Signals): number | undefined {
  const pid = readPid(session.path(node.pidfile));
  if (pid === undefined || !isAlive(pid)) {
    note(`> ${node.name}: DOWN`);
    return undefined;
  }
  note(`\t> ${node.name}: ${signal.replace('SIG', '')} -> ${pid}`);
  process.kill(pid, signal);
  return pid;
}

async function stopAll(run: Run, wait: boolean): Promise<void> {
  run.note('> Stopping nodes...');
  const signal = signalOf(run.words);
  const left = new Map<Node, number>();
  for (const node of run.nodes) {
    const pid = signalNode(run, node, signal);
    if (pid !== undefined) left.set(node, pid);
  }
  if (!wait || left.size === 0) return;
  run.note(`> Waiting for ${left.size} ${left.size === 1 ? 'node' : 'nodes'} -> ${[...left.values()].join(', ')}...`);
  // As long as their tasks take; whoever typed this can end it.
  while (left.size > 0) {
    for (const [node, pid] of left) {
      if (isAlive(pid)) continue;
      run.note(`\t> ${node.name}: ${run.session.paint.good('OK')}`);
      left.delete(node);
    }
    if (left.size > 0) await sleep(run.session.io.clock, POLL_MS);
  }
}
