import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { findTsx, runtimeRunsTypeScript } from '../app/typescript.ts';
import type { ToChild, ToParent } from './wire.ts';

/** One child as its pool sees it, whatever it is made of. */
export interface Member {
  /** Process it runs in. */
  readonly pid: number;
  /** Never throws; what is sent to a child that is gone is lost with it. */
  send(batch: readonly ToChild[]): void;
  /** Ends it, with the signal first where there are signals. */
  end(signal: NodeJS.Signals | number): void;
  /**
   * Where its code is right now, innermost call first; undefined: it waits. Left out where that cannot be known.
   * @throws {OperationalError} when it does not answer
   */
  stack?(): Promise<readonly string[] | undefined>;
}

/** How a child ended: `code` when it left by itself, else the signal. */
export interface MemberExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface MemberEvents {
  messages(batch: readonly ToParent[]): void;
  /** What is known about an end that is near. */
  problem(text: string): void;
  /** Once, after the last message. */
  exit(how: MemberExit): void;
}

export type StartMember = (events: MemberEvents) => Member;

/** File that children run, and what Node needs to run it: in a checkout it is TypeScript. */
export function childEntry(): { readonly file: string; readonly execArgv: readonly string[] } {
  const source = import.meta.url.endsWith('.ts');
  const file = fileURLToPath(new URL(source ? './child.ts' : '../pools/child.js', import.meta.url));
  // A debugger's port can be taken once.
  const inherited = process.execArgv.filter((arg) => !arg.startsWith('--inspect'));
  if (!source || runtimeRunsTypeScript() || inherited.some((arg) => arg.includes('tsx'))) {
    return { file, execArgv: inherited };
  }
  return { file, execArgv: [...inherited, '--import', pathToFileURL(createRequire(file).resolve('tsx')).href] };
}

/** Code that a thread begins with; `--import` has no hold on the entry of a thread in Node 20. */
export function threadEntry(): { readonly code: string } {
  const { file } = childEntry();
  const start = `import(${JSON.stringify(pathToFileURL(file).href)})`;
  if (!file.endsWith('.ts') || runtimeRunsTypeScript()) return { code: start };
  const hooks = (findTsx(file) ?? []).map((entry) => `import(${JSON.stringify(pathToFileURL(entry).href)})`);
  return {
    code: `Promise.all([${hooks.join()}]).then((all) => { for (const one of all) one.register(); return ${start}; })`,
  };
}
