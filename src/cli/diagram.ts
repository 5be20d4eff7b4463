export type Attributes = Readonly<Record<string, string>>;

export interface Node {
  readonly id: string;
  readonly label: string;
  readonly attributes: Attributes;
}

/** A directed graph as text. */
export class Diagram {
  readonly #name: string;
  readonly #nodes: Node[] = [];
  readonly #edges: (readonly [from: Node, to: Node])[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  /** Two nodes may have the same label. */
  node(label: string, attributes: Attributes = {}): Node {
    const node = { id: `n${this.#nodes.length + 1}`, label, attributes };
    this.#nodes.push(node);
    return node;
  }

  edge(from: Node, to: Node): void {
    this.#edges.push([from, to]);
  }

  /** For Graphviz. */
  dot(): string {
    const lines = [`digraph ${quoted(this.#name)} {`, '  rankdir=TB;', '  node [style=filled];'];
    for (const { id, label, attributes } of this.#nodes) {
      const all = Object.entries({ label, ...attributes }).map(([key, value]) => `${key}=${quoted(value)}`);
      lines.push(`  ${id} [${all.join(', ')}];`);
    }
    for (const [from, to] of this.#edges) lines.push(`  ${from.id} -> ${to.id};`);
    return [...lines, '}'].join('\n');
  }

  mermaid(): string {
    const text = (label: string): string => `"${label.replaceAll('"', '#quot;')}"`;
    return [
      'graph TD',
      ...this.#nodes.map(({ id, label }) => `  ${id}[${text(label)}]`),
      ...this.#edges.map(([from, to]) => `  ${from.id} --> ${to.id}`),
    ].join('\n');
  }
}

function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}
