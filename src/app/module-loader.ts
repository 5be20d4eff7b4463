import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isAbsolute, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { nearest } from '../runtime/nearest.ts';
import type { Celery } from './celery.ts';
import { LoadError } from './load-error.ts';
import { isTypeScript, runtimeRunsTypeScript, registerTsx, typeScriptHint } from './typescript.ts';

/*
 * spec     what `-A` was given: `path[:export]`, or a module name `proj`, `proj.celery`, `some-package`
 * export   the name under which the module hands out its app
 */

const EXTENSIONS = ['.ts', '.mts', '.js', '.mjs', '.cts', '.cjs', '.tsx'];
/** Where a module name may lead to, after `<name><extension>`. */
const ENTRIES = ['index', 'app', 'celery'];
/** Exports that are taken before any other app. */
const PREFERRED = ['app', 'celery', 'default'];

export interface AppSpec {
  readonly module: string;
  readonly exportName: string | undefined;
}

/** Splits off `:export`; `C:\app.ts` has none. */
export function parseAppSpec(spec: string): AppSpec {
  const match = /^(.{2,}):([\p{ID_Start}$_][\p{ID_Continue}$]*)$/u.exec(spec);
  return match === null
    ? { module: spec, exportName: undefined }
    : { module: match[1] as string, exportName: match[2] };
}

/** Also true for an app made by another copy of the library. */
export function isApp(value: unknown): value is Celery {
  if (typeof value !== 'object' || value === null) return false;
  if (Symbol.for('celeriac.app') in value) return true;
  const app = value as Partial<Record<keyof Celery, unknown>>;
  return (
    typeof app.send === 'function' &&
    typeof app.transport === 'function' &&
    typeof app.task === 'function' &&
    typeof app.conf === 'object'
  );
}

function isFile(path: string): boolean {
  return existsSync(path) && statSync(path).isFile();
}

/** The first of these that is a file. */
function firstFile(candidates: readonly string[]): string | undefined {
  return candidates.find(isFile);
}

function candidatesFor(base: string): string[] {
  return [
    base,
    ...EXTENSIONS.map((extension) => base + extension),
    ...ENTRIES.flatMap((entry) => EXTENSIONS.map((extension) => resolve(base, entry + extension))),
  ];
}

function fileOf(module: string, directory: string): string | undefined {
  const found = firstFile(candidatesFor(resolve(directory, module)));
  if (found !== undefined) return found;
  // TypeScript's habit: `./app.js` in the sources is `app.ts` on the disk. Not here: the person typed a file name.
  if (isAbsolute(module) || module.startsWith('.')) return undefined;
  if (/^[\w.]+$/.test(module) && module.includes('.')) {
    const dotted = firstFile(candidatesFor(resolve(directory, module.replaceAll('.', '/'))));
    if (dotted !== undefined) return dotted;
  }
  try {
    return createRequire(resolve(directory, 'package.json')).resolve(module);
  } catch {
    return undefined;
  }
}

/** Exports by name; what a CommonJS module exports is found under `default` too. */
function exportsOf(module: Readonly<Record<string, unknown>>): Map<string, unknown> {
  const found = new Map(Object.entries(module));
  const inner = module['default'];
  if (typeof inner === 'object' && inner !== null && !isApp(inner)) {
    for (const [name, value] of Object.entries(inner)) if (!found.has(name)) found.set(name, value);
  }
  return found;
}

function chooseApp(module: Readonly<Record<string, unknown>>, exportName: string | undefined, file: string): Celery {
  const exported = exportsOf(module);
  const apps = [...exported].filter(([, value]) => isApp(value)).map(([name]) => name);
  if (exportName !== undefined) {
    const value = exported.get(exportName);
    if (isApp(value)) return value;
    const similar = nearest(exportName, apps) ?? apps[0];
    throw new LoadError(
      exported.has(exportName)
        ? `"${exportName}" of ${file} is no Celery app`
        : `${file} exports nothing named "${exportName}"`,
      { hint: similar === undefined ? EXPORT_HINT : `Did you mean ${file}:${similar}?` },
    );
  }
  const name =
    PREFERRED.find((candidate) => apps.includes(candidate)) ?? (distinct(exported, apps) ? undefined : apps[0]);
  if (name === undefined) {
    throw new LoadError(
      apps.length === 0 ? `${file} exports no Celery app` : `${file} exports several apps: ${apps.join(', ')}`,
      { hint: apps.length === 0 ? EXPORT_HINT : `Say which one: -A ${file}:${apps[0]}` },
    );
  }
  return exported.get(name) as Celery;
}

/** Whether the names stand for more than one app (or for none). */
function distinct(exported: ReadonlyMap<string, unknown>, names: readonly string[]): boolean {
  return new Set(names.map((name) => exported.get(name))).size !== 1;
}

const EXPORT_HINT = 'Export it: export const app = new Celery({ … })';

/** Imports modules of the project: apps, and files with tasks. */
export class ModuleLoader {
  /** Where relative names start. */
  readonly #directory: string;
  #registered: Promise<void> | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * The app that `-A` names.
   * @throws {LoadError} when there is no such module, it fails, or it exports no app
   */
  async app(spec: string): Promise<Celery> {
    const { module, exportName } = parseAppSpec(spec);
    const file = this.resolve(module);
    return chooseApp(await this.import(file), exportName, relative(this.#directory, file));
  }

  /** The file a module name or path stands for. @throws {LoadError} when there is none */
  resolve(module: string): string {
    const file = fileOf(module.startsWith('file:') ? fileURLToPath(module) : module, this.#directory);
    if (file !== undefined) return file;
    throw new LoadError(`no module "${module}" in ${this.#directory}`, {
      missing: true,
      hint: 'Name the file that exports the app, relative to the working directory: -A ./src/app.ts',
    });
  }

  /** Makes `import` accept TypeScript. @throws {LoadError} where neither Node nor `tsx` can do it */
  async prepareTypeScript(file: string): Promise<void> {
    if (runtimeRunsTypeScript()) return;
    this.#registered ??= registerTsx(file, this.#directory);
    await this.#registered;
  }

  /** @throws {LoadError} saying what failed in it */
  async import(file: string): Promise<Readonly<Record<string, unknown>>> {
    if (isTypeScript(file)) await this.prepareTypeScript(file);
    try {
      return (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
    } catch (cause) {
      const hint = typeScriptHint(cause);
      const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
      throw new LoadError(`${file} could not be loaded:\n${text}`, { cause, ...(hint !== undefined && { hint }) });
    }
  }
}
