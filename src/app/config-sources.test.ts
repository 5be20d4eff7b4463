import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ResultBackend } from '../backends/backend.ts';
import type { BackendOptions } from '../backends/drivers.ts';
import { createBackend as memoryBackend } from '../backends/memory.ts';
import { ImproperlyConfigured } from '../errors.ts';
import { silentLogger } from '../runtime/logger.ts';
import type { DriverContext } from '../transports/transport.ts';
import { Celery } from './celery.ts';
import { findConfigFile } from './config-file.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'celeriac-config-'));
  writeFileSync(join(folder, 'settings.mjs'), `export default { CELERY_RESULT_EXPIRES: '2h', OTHER: 1 };`);
  writeFileSync(join(folder, 'broken.mjs'), `import './nowhere.mjs';`);
  writeFileSync(join(folder, 'one.tasks.mjs'), `globalThis.discovered = [...(globalThis.discovered ?? []), 'one'];`);
  writeFileSync(join(folder, 'two.tasks.mjs'), `globalThis.discovered = [...(globalThis.discovered ?? []), 'two'];`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const newApp = (env: Record<string, string> = {}): Celery => new Celery({ broker: 'memory://', env });

test('a module, by path or by environment variable', async () => {
  const app = newApp({ SETTINGS: join(folder, 'settings.mjs') });
  expect(await app.configFromEnvvar('SETTINGS', { namespace: 'CELERY' })).toBe(true);
  expect(app.conf.resultExpires).toBe(7200);
});

test('what is missing is an error, unless silent; what is broken is always one', async () => {
  const app = newApp();
  const missing = join(folder, 'missing.mjs');
  await expect(app.configFrom(missing)).rejects.toThrow(`there is no module "${missing}" with settings`);
  expect(await app.configFrom(missing, { silent: true })).toBe(false);
  await expect(app.configFromEnvvar('NOT_SET')).rejects.toThrow('environment variable NOT_SET is not set');
  expect(await app.configFromEnvvar('NOT_SET', { silent: true })).toBe(false);
  const broken = join(folder, 'broken.mjs');
  await expect(app.configFrom(broken, { silent: true })).rejects.toThrow(`"${broken}" could not be loaded`);
  await expect(app.configFrom({ task_serialiser: 'json' })).rejects.toThrow(ImproperlyConfigured);
});

test('run time over module over added defaults; taking a value away uncovers the one below', async () => {
  const app = newApp();
  app.addDefaults({ resultExpires: 1, taskAcksLate: false });
  expect(app.conf.resultExpires).toBe(1);
  await app.configFrom({ resultExpires: 2 });
  app.configure({ resultExpires: 3 });
  expect([app.conf.resultExpires, app.conf.taskAcksLate]).toEqual([3, false]);
  app.configure({ resultExpires: undefined });
  expect(app.conf.resultExpires).toBe(2);
});

test('discover() imports what a glob matches, in order', async () => {
  const app = newApp();
  const seen: (readonly string[])[] = [];
  app.on('importModules', ({ modules }) => void seen.push(modules));
  const files = await app.discover('*.tasks.mjs', { cwd: folder });
  expect(files).toEqual([join(folder, 'one.tasks.mjs'), join(folder, 'two.tasks.mjs')]);
  expect((globalThis as { discovered?: string[] }).discovered).toEqual(['one', 'two']);
  expect(seen).toEqual([files]);
});

test('without a name: what CELERY_CONFIG_MODULE says, else the file of the project, else nothing', async () => {
  const app = newApp({ CELERY_CONFIG_MODULE: join(folder, 'settings.mjs') });
  expect(await app.configFrom(undefined, { namespace: 'CELERY' })).toBe(true);
  expect(app.conf.resultExpires).toBe(7200);
  expect(await newApp().configFrom()).toBe(false);

  const project = join(folder, 'project');
  mkdirSync(project);
  expect(findConfigFile(project)).toBeUndefined();
  writeFileSync(join(project, 'celeryconfig.mjs'), 'export const task_acks_late = false;');
  expect(findConfigFile(project)).toBe(join(project, 'celeryconfig.mjs'));
  writeFileSync(
    join(project, 'celery.config.ts'),
    'const expires: string = "3h"; export const resultExpires = expires;',
  );
  const found = findConfigFile(project);
  expect(found).toBe(join(project, 'celery.config.ts'));
  const typed = newApp();
  expect(await typed.configFrom(found)).toBe(true);
  expect(typed.conf.resultExpires).toBe(10_800);
});

test('settings that nothing reads are told when the app gets ready, and only those', async () => {
  const told: unknown[] = [];
  const log = { ...silentLogger, warn: (fields: object) => void told.push(fields) };
  const app = new Celery({
    broker: 'memory://',
    env: {},
    log,
    workerConsumer: 'x:Consumer',
    taskAcksLate: true,
    resultCacheMax: -1,
  });
  await app.ready();
  await app.close();
  expect(told).toEqual([{ settings: ['workerConsumer'] }]);
});

test('overrideBackends: a name for another URL, or for a backend of one’s own', async () => {
  const seen: string[] = [];
  const own = (url: string, ...rest: [BackendOptions, DriverContext]): ResultBackend => {
    seen.push(url);
    return memoryBackend(url, ...rest);
  };
  const overrideBackends = { mine: own, short: 'memory://', wrong: 5 };
  const app = (resultBackend: string): Celery =>
    new Celery({ broker: 'memory://', env: {}, overrideBackends, backend: resultBackend });
  expect((await app('mine://place').backend()).name).toBe('memory');
  expect((await app('short').backend()).name).toBe('memory');
  await expect(app('wrong://').backend()).rejects.toThrow('"wrong" to be a URL or a function');
  expect(seen).toEqual(['mine://place']);
});
