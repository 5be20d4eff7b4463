import type { Command } from 'commander';
import { nobodyAnswered } from './replies.ts';
import { CommandError, EXIT } from './exit.ts';
import { Diagram, type Node } from './diagram.ts';
import { positiveNumber, seconds } from './options.ts';
import { Option } from 'commander';
import type { Session } from './session.ts';
import { addBootsteps } from './graph-bootsteps.ts';

interface GraphFlags {
  readonly mermaid?: boolean;
  readonly json?: boolean;
  readonly timeout: number;
}

const SHAPES = {
  broker: { shape: 'circle', fillcolor: 'cadetblue3', color: 'cadetblue4' },
  backend: { shape: 'folder', fillcolor: 'peachpuff3' },
  worker: { shape: 'box', fillcolor: 'palegreen3' },
  slot: { shape: 'oval', fillcolor: 'lightcyan4', fontcolor: 'yellow', fontsize: '10' },
} as const;

/** `celeriac graph`: workers and their steps, for Graphviz or Mermaid. */
export function addGraph(program: Command, session: Session): void {
  const graph = program.command('graph').description('draw graphs, as DOT for Graphviz or as Mermaid');
  addBootsteps(graph, session);
  graph
    .command('workers')
    .description('workers with their slots, the broker and the result backend')
    .argument('[settings...]', 'nodes:a,b threads:2,4 broker:URL backend:URL wmax:4 tmax:3 generic:1 enumerate:1')
    .option('--mermaid', 'Mermaid instead of DOT')
    .option('-j, --json', 'the workers as JSON')
    .addOption(
      new Option('-t, --timeout <seconds>', 'longest silence to wait for').argParser(seconds).default(1, '1.0'),
    )
    .action(async (words: readonly string[], flags: GraphFlags) => {
      const settings = readSettings(words);
      const found = settings.has('nodes') ? given(settings) : await asked(session, flags.timeout);
      const app = await session.app();
      const broker = settings.get('broker') ?? (await app.transport()).displayUrl;
      const backend = settings.get('backend') ?? (await app.backend()).displayUrl;
      if (flags.json) return session.json({ broker, backend, workers: found });
      session.print(draw(found, { broker, backend, settings })[flags.mermaid ? 'mermaid' : 'dot']());
    });
}

interface FoundWorker {
  readonly name: string;
  readonly slots: number;
}

const KNOWN = ['nodes', 'threads', 'broker', 'backend', 'wmax', 'tmax', 'generic', 'enumerate'];

function readSettings(words: readonly string[]): Map<string, string> {
  return new Map(
    words.map((word) => {
      const [, name = '', value = ''] = /^([^:]*):?(.*)$/s.exec(word) ?? [];
      if (KNOWN.includes(name)) return [name, value];
      throw new CommandError(`unknown setting "${word}"`, {
        exitCode: EXIT.usage,
        hint: `There are: ${KNOWN.join(', ')}`,
      });
    }),
  );
}

function given(settings: ReadonlyMap<string, string>): FoundWorker[] {
  const slots = (settings.get('threads') ?? '').split(',');
  return (settings.get('nodes') as string).split(',').map((name, index) => {
    return { name, slots: slots[index] ? positiveNumber(slots[index]) : 0 };
  });
}

async function asked(session: Session, timeout: number): Promise<FoundWorker[]> {
  const app = await session.app();
  const answers = await app.control.inspect({ timeout: timeout * 1000 }).stats();
  const found = Object.entries(answers).map(([name, stats]) => {
    const { pool } = stats as { readonly pool?: { readonly 'max-concurrency'?: unknown } };
    return { name, slots: Number(pool?.['max-concurrency'] ?? 0) };
  });
  if (found.length === 0) throw nobodyAnswered();
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

interface Surroundings {
  readonly broker: string;
  readonly backend: string;
  readonly settings: ReadonlyMap<string, string>;
}

function draw(workers: readonly FoundWorker[], { broker, backend, settings }: Surroundings): Diagram {
  const limit = (name: string, otherwise: number): number => Number(settings.get(name) ?? otherwise) || Infinity;
  const shown = (url: string, kind: string): string =>
    settings.has('generic') ? `${kind} (${url.split('://')[0]}://)` : url;
  const diagram = new Diagram('Workers');
  const brokerNode = diagram.node(shown(broker, 'Broker'), SHAPES.broker);
  const hasResults = !backend.startsWith('disabled');
  const backendNode = hasResults ? diagram.node(shown(backend, 'Backend'), SHAPES.backend) : undefined;
  const most = limit('wmax', 4);
  for (const { name, slots } of abbreviated(workers, most, (left) => ({ name: `${left} more workers`, slots: 0 }))) {
    const label = settings.has('enumerate') ? `Worker ${workers.findIndex((one) => one.name === name) + 1}` : name;
    const worker: Node = diagram.node(label, SHAPES.worker);
    diagram.edge(worker, brokerNode);
    if (backendNode) diagram.edge(worker, backendNode);
    const all = Array.from({ length: slots }, (_, index) => `P${index + 1}`);
    for (const slot of abbreviated(all, limit('tmax', 3), (left) => `${left} more`)) {
      diagram.edge(diagram.node(slot, SHAPES.slot), worker);
    }
  }
  return diagram;
}

/** The first ones and the last; in between, how many are not shown. */
function abbreviated<T>(all: readonly T[], most: number, rest: (left: number) => T): T[] {
  if (all.length <= most) return [...all];
  const first = all.slice(0, Math.max(0, most - 2));
  return [...first, rest(all.length - first.length - 1), all.at(-1) as T];
}
