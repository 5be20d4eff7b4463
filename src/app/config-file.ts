import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isTypeScript, registerTsx, runtimeRunsTypeScript } from './typescript.ts';

/** Names under which a settings module is found by itself, in this order. */
const NAMES = ['celery.config', 'celeryconfig'];
const EXTENSIONS = ['.ts', '.mts', '.js', '.mjs', '.cjs', '.cts'];

/** The settings module of a project: `celery.config.ts` or the like in its folder. */
export function findConfigFile(folder: string): string | undefined {
  for (const name of NAMES) {
    for (const extension of EXTENSIONS) {
      const file = resolve(folder, name + extension);
      if (existsSync(file)) return file;
    }
  }
  return undefined;
}

/** Imports a path or a package; TypeScript too, where Node or `tsx` can. */
export async function importModule(module: string): Promise<object> {
  const isPath = /^(?:\.|\/|[A-Za-z]:\\)/.test(module);
  if (isTypeScript(module) && !runtimeRunsTypeScript()) await registerTsx(module, process.cwd());
  return (await import(isPath ? pathToFileURL(resolve(module)).href : module)) as object;
}
