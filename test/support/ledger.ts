import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** One attempt at a task as its body saw it. */
export interface LedgerLine {
  readonly id: string;
  readonly pid: number;
  readonly what: 'start' | 'end';
}

/**
 * A file that no broker touches: every task of a chaos test writes a line when it starts and when it ends.
 * One `O_APPEND` write per line, so lines of several processes never mix.
 */
export class Ledger {
  readonly path: string;
  readonly #folder: string | undefined;

  constructor(path?: string) {
    this.#folder = path === undefined ? mkdtempSync(join(tmpdir(), 'celeriac-ledger-')) : undefined;
    this.path = path ?? join(this.#folder as string, 'ledger');
  }

  write(id: string, what: LedgerLine['what']): void {
    appendFileSync(this.path, `${id} ${process.pid} ${what}\n`);
  }

  lines(): LedgerLine[] {
    if (!existsSync(this.path)) return [];
    return readFileSync(this.path, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        const [id = '', pid = '0', what = ''] = line.split(' ');
        return { id, pid: Number(pid), what: what as LedgerLine['what'] };
      });
  }

  /** How often each id came to its end. */
  ends(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { id, what } of this.lines()) if (what === 'end') counts.set(id, (counts.get(id) ?? 0) + 1);
    return counts;
  }

  /** Ids of `sent` that never ended. */
  lost(sent: Iterable<string>): string[] {
    const ends = this.ends();
    return [...sent].filter((id) => !ends.has(id));
  }

  /** Ids that ended more than once. */
  duplicates(): string[] {
    return [...this.ends()].filter(([, count]) => count > 1).map(([id]) => id);
  }

  dispose(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }
}
