import type { Celery } from './celery.ts';
import { LoadError } from './load-error.ts';
import { ModuleLoader } from './module-loader.ts';
import { parseSettingAssignments } from './setting-assignments.ts';
import { isTypeScript } from './typescript.ts';

/** Where an app comes from, for whoever has to load it again: the children of a pool. */
export interface AppSource {
  /** As `-A` takes it: a path or module name, `:export` after it; also a `file:` URL such as `import.meta.url`. */
  readonly module: string;
  /** Where relative names start. @default the working directory */
  readonly directory?: string | undefined;
  /** More modules with tasks; globs too. */
  readonly include?: readonly string[] | undefined;
  /** Settings as the command line takes them: `worker.prefetch_multiplier=1`. */
  readonly settings?: readonly string[] | undefined;
}

/**
 * Loads an app with all its tasks.
 * @throws {LoadError} when a module is missing, fails, or exports no app
 */
export async function loadSource(source: AppSource): Promise<Celery> {
  const directory = source.directory ?? process.cwd();
  const loader = new ModuleLoader(directory);
  const app = await loader.app(source.module);
  if (source.settings?.length) app.configure(parseSettingAssignments(source.settings, 'worker'));
  await loadIncludes(app, loader, source.include ?? [], directory);
  return app;
}

/** Everything that settings and `include` name. @throws {LoadError} */
export async function loadIncludes(
  app: Celery,
  loader: ModuleLoader,
  include: readonly string[],
  directory: string,
): Promise<void> {
  const { imports, include: more } = app.conf;
  if ([...(imports ?? []), ...(more ?? []), ...include].some((name) => isTypeScript(name))) {
    await loader.prepareTypeScript('a module with tasks');
  }
  await app.ready();
  for (const name of include) {
    if (!/[*?{[]/.test(name)) await loader.import(loader.resolve(name));
    else if ((await discovered(app, name, directory)).length === 0) {
      throw new LoadError(`--include: no file matches ${name}`, { missing: true });
    }
  }
}

/** A folder that does not exist has no files. */
async function discovered(app: Celery, glob: string, cwd: string): Promise<readonly string[]> {
  try {
    return await app.discover(glob, { cwd });
  } catch (error) {
    if ((error as { readonly syscall?: unknown }).syscall === 'scandir') return [];
    throw error;
  }
}
