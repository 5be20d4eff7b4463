import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { LoadError } from './load-error.ts';

const TYPESCRIPT = /\.[cm]?tsx?$/;

export function isTypeScript(file: string): boolean {
  return TYPESCRIPT.test(file);
}

/** Node does since 22.18 (by dropping the types); Deno and Bun always have. */
export function runtimeRunsTypeScript(): boolean {
  const { typescript } = process.features as { readonly typescript?: string | false };
  const { deno, bun } = process.versions as { readonly deno?: string; readonly bun?: string };
  return typeof typescript === 'string' || deno !== undefined || bun !== undefined;
}

interface Tsx {
  /** Makes `import` accept TypeScript; returns its undoing. */
  register(): unknown;
}

interface TsxManifest {
  readonly exports?: Readonly<Record<string, { readonly import?: { readonly default?: string } }>>;
}

/** The files of tsx's two interfaces, as an import from `directory` would find them. */
export function findTsx(directory: string): readonly string[] | undefined {
  const require = createRequire(directory);
  try {
    const manifest = require.resolve('tsx/package.json');
    const { exports = {} } = require(manifest) as TsxManifest;
    // The hooks for `require` first: a project without "type": "module" is loaded through both.
    const entries = ['./cjs/api', './esm/api'].map((name) => exports[name]?.import?.default);
    return entries.map((entry) => resolve(dirname(manifest), entry ?? ''));
  } catch {
    return undefined;
  }
}

/**
 * Makes this process import TypeScript through `tsx`, for a Node that cannot by itself.
 * @param directory where the project is; `tsx` is looked for from here first
 * @throws {LoadError} when it is not installed
 */
export async function registerTsx(file: string, directory: string): Promise<void> {
  const entries = findTsx(resolve(directory, 'package.json')) ?? findTsx(fileURLToPath(import.meta.url));
  if (entries === undefined) {
    throw new LoadError(`Node ${process.versions.node} does not run TypeScript, and ${file} is TypeScript`, {
      hint: 'Do one of: npm install --save-dev tsx · use Node 22.18 or newer · compile it and name the .js file',
    });
  }
  for (const entry of entries) ((await import(pathToFileURL(entry).href)) as Tsx).register();
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
