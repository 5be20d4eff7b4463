import type { AsyncResult } from './async-result.ts';
import { walk, type WalkOptions } from './walk.ts';

/** A task or group of a tree of results. */
export interface ResultNode {
  readonly id: string;
  /** Name of the task where it was stored (`resultExtended`); null elsewhere and for groups. */
  readonly name: string | null;
  readonly state: string;
  readonly kind: 'task' | 'group';
}

/** What a task led to, as it was when it was asked for. */
export interface ResultGraph {
  readonly nodes: readonly ResultNode[];
  /** From a result to its child. */
  readonly edges: readonly (readonly [from: string, to: string])[];
  /** An indented tree, for people. */
  toString(): string;
  /** Graphviz. */
  toDot(): string;
  toMermaid(): string;
}

/** Source: `AsyncResult.build_graph`. */
export async function graphOf(root: AsyncResult<unknown>, options: WalkOptions = {}): Promise<ResultGraph> {
  const nodes = new Map<string, ResultNode>();
  const edges: [string, string][] = [];
  const drawn = new Set<string>();
  for await (const [parent, result] of walk(root, options)) {
    const { id } = result;
    if (!nodes.has(id)) {
      const [state, { name }] = await Promise.all([result.state(), result.meta()]);
      nodes.set(id, { id, name, state, kind: result.toJSON()[1] === null ? 'task' : 'group' });
    }
    const edge = parent === null ? undefined : `${parent.id}>${id}`;
    if (edge === undefined || parent === null || drawn.has(edge)) continue;
    drawn.add(edge);
    edges.push([parent.id, id]);
  }
  const all = [...nodes.values()];
  return {
    nodes: all,
    edges,
    toString: () => tree(all, edges),
    toDot: () => dot(all, edges),
    toMermaid: () => mermaid(all, edges),
  };
}

type Edges = ResultGraph['edges'];

function label({ id, name, state, kind }: ResultNode): string {
  return [name ?? (kind === 'group' ? 'group' : undefined), id, state].filter((part) => part !== undefined).join(' ');
}

function tree(nodes: readonly ResultNode[], edges: Edges): string {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const children = new Map<string, string[]>();
  for (const [from, to] of edges) {
    const of = children.get(from);
    if (of === undefined) children.set(from, [to]);
    else of.push(to);
  }
  const lines: string[] = [];
  const seen = new Set<string>();
  const write = (id: string, depth: number): void => {
    const node = byId.get(id);
    if (node === undefined) return;
    lines.push(`${'  '.repeat(depth)}${label(node)}`);
    if (seen.has(id)) return;
    seen.add(id);
    for (const child of children.get(id) ?? []) write(child, depth + 1);
  };
  const [root] = nodes;
  if (root !== undefined) write(root.id, 0);
  return lines.join('\n');
}

const COLOURS: Readonly<Record<string, string>> = { SUCCESS: 'palegreen', FAILURE: 'salmon', REVOKED: 'orange' };

function dot(nodes: readonly ResultNode[], edges: Edges): string {
  const quoted = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  return [
    'digraph results {',
    '  node [style=filled, fillcolor=white];',
    ...nodes.map((node) => {
      const shape = node.kind === 'group' ? 'ellipse' : 'box';
      const colour = COLOURS[node.state] ?? 'white';
      return `  ${quoted(node.id)} [label=${quoted(label(node))}, shape=${shape}, fillcolor=${colour}];`;
    }),
    ...edges.map(([from, to]) => `  ${quoted(from)} -> ${quoted(to)};`),
    '}',
  ].join('\n');
}

function mermaid(nodes: readonly ResultNode[], edges: Edges): string {
  const names = new Map(nodes.map(({ id }, n) => [id, `n${n}`]));
  return [
    'flowchart TD',
    ...nodes.map((node) => {
      const text = label(node).replaceAll('"', '#quot;');
      const [open, close] = node.kind === 'group' ? ['(["', '"])'] : ['["', '"]'];
      return `  ${names.get(node.id)}${open}${text}${close}:::${node.state.replaceAll(/\W/g, '_')}`;
    }),
    ...edges.map(([from, to]) => `  ${names.get(from)} --> ${names.get(to)}`),
    '  classDef SUCCESS fill:#cfc',
    '  classDef FAILURE fill:#fcc',
    '  classDef REVOKED fill:#fdb',
  ].join('\n');
}
