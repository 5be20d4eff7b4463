import { resolve } from 'node:path';
import type { Celery } from '../app/celery.ts';
import { ModuleLoader, parseAppSpec } from '../app/module-loader.ts';
import { ImproperlyConfigured } from '../errors.ts';
import { FileStore } from './file-store.ts';
import type { OpenScheduler, ScheduleStore, SchedulerClass, SchedulerContext } from './schedule-store.ts';

const openFile: OpenScheduler = ({ app, file }) => new FileStore(file, app.log, app.clock);

const openDjango = async (): Promise<OpenScheduler> => (await import('./django/index.ts')).openScheduler;

/** Names that need no module of the project; a scheduler with needs of its own is imported on first use. */
const BUILT_IN: Readonly<Record<string, () => Promise<OpenScheduler>>> = {
  file: async () => openFile,
  persistent: async () => openFile,
  'celery.beat:PersistentScheduler': async () => openFile,
  'celery.beat.PersistentScheduler': async () => openFile,
  django: openDjango,
  'django_celery_beat.schedulers:DatabaseScheduler': openDjango,
  'django_celery_beat.schedulers.DatabaseScheduler': openDjango,
};

/** A database that several beats share, by its URL; `shared` is the broker's. */
const SHARED =
  /^(?:shared$|(?:rediss?|redis\+socket|valkeys?|sentinel|sqlite|(?:postgres(?:ql)?|mysql|mariadb)(?:\+\w+)?):)/i;

export interface StoreOptions {
  /**
   * A name, the URL of a database that several beats share (`redis://…`, `postgresql://…`, `mysql://…`, `sqlite:///…`, or `shared` for the
   * broker's), a module (`./schedules.ts:TenantScheduler`, `some-package`), a class or a function.
   * @default setting `beatScheduler`
   */
  readonly scheduler?: string | SchedulerClass | OpenScheduler | undefined;
  /** @default setting `beatScheduleFilename`, with `.json` */
  readonly file?: string | undefined;
  /** Where relative names start. @default the working directory */
  readonly directory?: string | undefined;
}

/**
 * The store that a scheduler's name, module, class or function stands for.
 * @throws {ImproperlyConfigured} when there is no such scheduler
 */
export async function openStore(app: Celery, options: StoreOptions = {}): Promise<ScheduleStore> {
  const { directory = process.cwd(), file = `${app.conf.beatScheduleFilename}.json` } = options;
  const scheduler = (options.scheduler ?? app.conf.beatScheduler) as string | SchedulerClass | OpenScheduler;
  const context = { app, file: resolve(directory, file) };
  if (typeof scheduler !== 'string') return make(scheduler, context, 'beatScheduler');
  if (Object.hasOwn(BUILT_IN, scheduler)) {
    const load = BUILT_IN[scheduler] as () => Promise<OpenScheduler>;
    return make(await load(), context, scheduler);
  }
  if (SHARED.test(scheduler)) {
    const { openShared } = await import('./shared/open.ts');
    return openShared(app, scheduler);
  }
  return make(await imported(scheduler, directory), context, scheduler);
}

/** Helps the compiler with a scheduler that is a function. */
export function defineScheduler(open: OpenScheduler): OpenScheduler {
  return open;
}

async function imported(spec: string, directory: string): Promise<unknown> {
  const { module, exportName = 'default' } = parseAppSpec(spec);
  const loader = new ModuleLoader(directory);
  let file: string;
  try {
    file = loader.resolve(module);
  } catch (cause) {
    throw new ImproperlyConfigured(
      `beatScheduler: no scheduler "${spec}": expected one of ${Object.keys(BUILT_IN).join(', ')}, ` +
        `shared, a URL such as redis://localhost/0, or a module and its export such as ./schedules.ts:TenantScheduler`,
      { cause },
    );
  }
  const exported = await loader.import(file);
  if (Object.hasOwn(exported, exportName)) return exported[exportName];
  throw new ImproperlyConfigured(`beatScheduler: ${file} exports nothing named "${exportName}"`);
}

async function make(scheduler: unknown, context: SchedulerContext, name: string): Promise<ScheduleStore> {
  if (typeof scheduler !== 'function') {
    throw new ImproperlyConfigured(`beatScheduler: "${name}" is neither a class nor a function that gives a store`);
  }
  const { prototype } = scheduler as Partial<SchedulerClass>;
  const isClass = typeof prototype?.load === 'function';
  const store: unknown = isClass
    ? new (scheduler as SchedulerClass)(context)
    : await (scheduler as OpenScheduler)(context);
  if (isStore(store)) return store;
  throw new ImproperlyConfigured(`beatScheduler: "${name}" gives no store: expected an object with load and save`);
}

function isStore(value: unknown): value is ScheduleStore {
  const store = value as Partial<ScheduleStore> | null | undefined;
  return typeof store?.load === 'function' && typeof store.save === 'function';
}
