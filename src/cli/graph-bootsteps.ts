import { Argument, type Command } from 'commander';
import type { Celery } from '../app/celery.ts';
import { consumerBlueprint, workerBlueprint } from '../worker/blueprint.ts';
import { Diagram, type Node } from './diagram.ts';
import type { Session } from './session.ts';

const BLUEPRINTS = ['worker', 'consumer'] as const;
type Name = (typeof BLUEPRINTS)[number];

const OWN = { shape: 'box', fillcolor: 'lightcyan4', fontcolor: 'white' } as const;
const ADDED = { shape: 'box', fillcolor: 'palegreen3' } as const;

/** `celeriac graph bootsteps`: the order in which a worker starts, and what requires what. */
export function addBootsteps(graph: Command, session: Session): void {
  graph
    .command('bootsteps')
    .description("the steps of a worker, and of each connection it makes; the app's own stand out")
    .addArgument(new Argument('[blueprints...]', 'worker, consumer').choices(BLUEPRINTS))
    .option('--mermaid', 'Mermaid instead of DOT')
    .option('-j, --json', 'the order as JSON')
    .action(async (words: readonly Name[], flags: { readonly mermaid?: boolean; readonly json?: boolean }) => {
      const app = await session.app();
      const names = words.length > 0 ? words : BLUEPRINTS;
      if (flags.json) session.json(Object.fromEntries(names.map((name) => [name, steps(app, name)])));
      else session.print(draw(app, names)[flags.mermaid ? 'mermaid' : 'dot']());
    });
}

interface Shown {
  readonly name: string;
  readonly requires: readonly string[];
  readonly own: boolean;
}

function steps({ steps: added }: Celery, name: Name): Shown[] {
  const { order } = name === 'worker' ? workerBlueprint(added) : consumerBlueprint(added);
  return order.map(({ name: step, requires, step: given }) => ({ name: step, requires, own: given === undefined }));
}

function draw(app: Celery, names: readonly Name[]): Diagram {
  const diagram = new Diagram('Bootsteps');
  let consumer: Node | undefined;
  for (const name of names) {
    const nodes = new Map<string, Node>();
    for (const [index, { name: step, requires, own }] of steps(app, name).entries()) {
      const node = diagram.node(`${index + 1}. ${step}`, own ? OWN : ADDED);
      nodes.set(step, node);
      for (const required of requires) diagram.edge(node, nodes.get(required) as Node);
      if (name === 'worker' && step === 'consumer') consumer = node;
      // What runs for each connection belongs to the worker's consumer.
      else if (name === 'consumer' && consumer && step === 'connection') diagram.edge(consumer, node);
    }
  }
  return diagram;
}
