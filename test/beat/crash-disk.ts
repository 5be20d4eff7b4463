import type { ManualClock } from '../../src/testing/index.ts';

/*
 * A disk in memory that ends at a chosen point. It keeps what a real one keeps: a text only once its file is synced, a
 * name only once its folder is.
 */

/** What comes at the chosen point: the process is killed, the power is cut (new names kept or not), or one call fails. */
export type End = 'killed' | 'power cut' | 'power cut, names kept' | 'fails once';

interface Inode {
  readonly number: number;
  text: string;
  synced: string;
  mtimeMs: number;
}

export class Crash extends Error {}

const failure = (code: string, path: string): Error => Object.assign(new Error(`${code}: ${path}`), { code });

export class CrashDisk {
  readonly #clock: ManualClock;
  #names = new Map<string, Inode>();
  #durable = new Map<string, Inode>();
  #made = 0;
  #points = 0;
  #at = Infinity;
  #end: End = 'killed';
  #dead = false;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  /** How many points have been passed. */
  get points(): number {
    return this.#points;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** The point with this number will be the end. */
  endAt(point: number, end: End): void {
    this.#at = point;
    this.#end = end;
  }

  /** The next process starts. */
  restart(): void {
    this.#dead = false;
  }

  /** Between any two of these something may happen. */
  point(where: string): void {
    if (this.#dead) throw new Crash(where);
    if (++this.#points !== this.#at) return;
    if (this.#end === 'fails once') throw failure('EIO', where);
    this.#dead = true;
    if (this.#end !== 'killed') {
      if (this.#end === 'power cut') this.#names = new Map(this.#durable);
      for (const inode of this.#names.values()) inode.text = inode.synced;
    }
    throw new Crash(where);
  }

  /** These stand in for the functions of `node:fs/promises`. */
  readonly calls = {
    open: async (path: string, flags: string | number): Promise<unknown> => {
      this.point(`before open ${path}`);
      if (flags === 'r') return this.#folder(path);
      if (flags === 'wx' && this.#names.has(path)) throw failure('EEXIST', path);
      const inode = this.#names.get(path) ?? { number: ++this.#made, text: '', synced: '', mtimeMs: 0 };
      Object.assign(inode, { text: '', mtimeMs: this.#clock.now() });
      this.#names.set(path, inode);
      this.point(`after open ${path}`);
      return this.#file(path, inode);
    },
    readFile: async (path: string): Promise<string> => {
      this.point(`read ${path}`);
      return this.#found(path).text;
    },
    rename: async (from: string, to: string): Promise<void> => {
      this.point(`before rename ${from}`);
      this.#names.set(to, this.#found(from));
      this.#names.delete(from);
      this.point(`after rename ${from}`);
    },
    rm: async (path: string): Promise<void> => {
      this.point(`before rm ${path}`);
      this.#names.delete(path);
      this.point(`after rm ${path}`);
    },
    stat: async (path: string): Promise<unknown> => {
      this.point(`stat ${path}`);
      const { number, text, mtimeMs } = this.#found(path);
      return { mtimeMs, mtimeNs: BigInt(mtimeMs) * 1_000_000n, size: BigInt(text.length), ino: BigInt(number) };
    },
  };

  #found(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw failure('ENOENT', path);
    return inode;
  }

  #file(path: string, inode: Inode): unknown {
    return {
      writeFile: async (text: string) => {
        this.point(`before write ${path}`);
        inode.text = text.slice(0, text.length / 2);
        this.point(`half of write ${path}`);
        inode.text = text;
        this.point(`after write ${path}`);
      },
      sync: async () => {
        this.point(`before sync ${path}`);
        inode.synced = inode.text;
        this.point(`after sync ${path}`);
      },
      close: async () => this.point(`close ${path}`),
    };
  }

  #folder(path: string): unknown {
    return {
      sync: async () => {
        this.point(`before sync of folder ${path}`);
        this.#durable = new Map(this.#names);
        this.point(`after sync of folder ${path}`);
      },
      close: async () => this.point(`close folder ${path}`),
    };
  }
}
