import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { CommandError } from './exit.ts';

const TYPESCRIPT = /\.[cm]?tsx?$/;

export function isTypeScript(file: string): boolean {
  return TYPESCRIPT.test(file);
}

/** Node runs TypeScript by itself since 22.18 (by dropping the types). */
export function nodeRunsTypeScript(): boolean {
  const { typescript } = process.features as { readonly typescript?: string | false };
  return typeof typescript === 'string';
}

interface Tsx {
  /** Makes `import` accept TypeScript; returns its undoing. */
  register(): unknown;
}

/**
 * Makes this process import TypeScript through `tsx`, for a Node that cannot by itself.
 * @param directory where the project is; `tsx` is looked for from here first
 * @throws {CommandError} when it is not installed
 */
export async function registerTsx(file: string, directory: string): Promise<void> {
  for (const from of [`${directory}/package.json`, import.meta.url]) {
    const require = createRequire(from);
    let esm: string;
    let cjs: string;
    try {
      esm = require.resolve('tsx/esm/api');
      cjs = require.resolve('tsx/cjs/api');
    } catch {
      continue;
    }
    // The hooks for `require` have to be there first: the ones for `import` fall back to them.
    for (const entry of [cjs, esm]) ((await import(pathToFileURL(entry).href)) as Tsx).register();
    return;
  }
  throw new CommandError(`Node ${process.versions.node} does not run TypeScript, and ${file} is TypeScript`, {
    hint: 'Do one of: npm install --save-dev tsx · use Node 22.18 or newer · compile it and name the .js file',
  });
}

/** What to add to an error that Node throws for TypeScript it cannot drop the types of. */
export function typeScriptHint(error: unknown): string | undefined {
  const { code } = error as { readonly code?: unknown };
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    return 'Node only drops types; enums, namespaces and parameter properties need a compiler: build the app and name the .js file';
  }
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION') {
    return 'It imports a file that Node does not run. For TypeScript do one of: npm install --save-dev tsx and name the .ts file · use Node 22.18 or newer · compile it';
  }
  return undefined;
}
