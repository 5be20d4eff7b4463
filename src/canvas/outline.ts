import type { SignatureDict } from '../protocol/task-message.ts';
import { bodyOf, headerOf, isChain, isChord, isGroup, tasksOf } from './dict.ts';

/** A part of a plan. */
export interface PlanNode {
  readonly kind: 'task' | 'chain' | 'group' | 'chord';
  /** Name of the task; of composites their kind. */
  readonly name: string;
  /** Queue or routing key that its message goes to; null for composites, which are no messages. */
  readonly queue: string | null;
  /** Bytes of the largest message that starts it. */
  readonly bytes: number;
  /** Tasks in it. */
  readonly leaves: number;
  /** How its members are counted; null where it is no chord. */
  readonly chord: 'native' | 'counter' | 'unlock' | 'none' | null;
  /** What cannot work, in words. */
  readonly problems: readonly string[];
  readonly children: readonly PlanNode[];
}

/** What sending a signature would do. Nothing was sent. */
export interface CanvasPlan {
  readonly root: PlanNode;
  /** Messages that are published at once. */
  readonly messages: number;
  readonly leaves: number;
  /** Bytes of the largest of those messages. */
  readonly bytes: number;
  /** All problems, each with the path of its node. */
  readonly problems: readonly string[];
  /** An indented tree, for people. */
  toString(): string;
  toMermaid(): string;
  /** Graphviz. */
  toDot(): string;
}

export function describe(node: PlanNode): string {
  const parts = [node.name];
  if (node.queue !== null) parts.push(`→ ${node.queue}`);
  if (node.kind !== 'task') parts.push(`${node.leaves} tasks`);
  if (node.chord !== null) parts.push(`chord: ${node.chord}`);
  if (node.bytes > 0) parts.push(`${node.bytes} B`);
  return parts.join('  ');
}

export function tree(node: PlanNode, depth = 0): string {
  const indent = '  '.repeat(depth);
  const lines = [`${indent}${describe(node)}`, ...node.problems.map((problem) => `${indent}  ! ${problem}`)];
  return [...lines, ...node.children.map((child) => tree(child, depth + 1))].join('\n');
}

interface Drawing {
  readonly nodes: { readonly id: string; readonly label: string; readonly broken: boolean }[];
  readonly edges: (readonly [from: string, to: string])[];
}

/** Tasks as nodes, and who waits for whom as edges. */
export function drawing(root: PlanNode): Drawing {
  const drawn: Drawing = { nodes: [], edges: [] };
  draw(root, [], drawn);
  return drawn;
}

/** @returns the nodes whose ends are the end of `node` */
function draw(node: PlanNode, after: readonly string[], drawn: Drawing): readonly string[] {
  if (node.kind === 'task') {
    const id = `n${drawn.nodes.length}`;
    const label = node.queue === null ? node.name : `${node.name} (${node.queue})`;
    drawn.nodes.push({ id, label, broken: node.problems.length > 0 });
    for (const from of after) drawn.edges.push([from, id]);
    return [id];
  }
  if (node.kind === 'group') return node.children.flatMap((child) => draw(child, after, drawn));
  if (node.kind === 'chain') return node.children.reduce((ends, child) => draw(child, ends, drawn), after);
  const header = node.children.slice(0, -1).flatMap((child) => draw(child, after, drawn));
  return draw(node.children.at(-1) as PlanNode, header.length === 0 ? after : header, drawn);
}

export function mermaid(root: PlanNode): string {
  const { nodes, edges } = drawing(root);
  return [
    'flowchart LR',
    ...nodes.map(
      ({ id, label, broken }) => `  ${id}["${label.replaceAll('"', '#quot;')}"]${broken ? ':::broken' : ''}`,
    ),
    ...edges.map(([from, to]) => `  ${from} --> ${to}`),
    ...(nodes.some(({ broken }) => broken) ? ['  classDef broken stroke:#c00,stroke-width:3px'] : []),
  ].join('\n');
}

export function dot(root: PlanNode): string {
  const { nodes, edges } = drawing(root);
  const quoted = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  return [
    'digraph canvas {',
    '  rankdir=LR;',
    ...nodes.map(({ id, label, broken }) => `  ${id} [label=${quoted(label)}${broken ? ', color=red' : ''}];`),
    ...edges.map(([from, to]) => `  ${from} -> ${to};`),
    '}',
  ].join('\n');
}

/** The parts of a signature that its plan shows, in the order they run. */
export function partsOf(dict: SignatureDict): readonly SignatureDict[] {
  if (isChain(dict) || isGroup(dict)) return tasksOf(dict);
  return isChord(dict) ? [...headerOf(dict), bodyOf(dict)] : [];
}
