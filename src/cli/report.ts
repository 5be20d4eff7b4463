import os from 'node:os';
import type { Command } from 'commander';
import { configDifferences, maskedConfig } from '../app/config.ts';
import { SETTINGS } from '../app/settings.ts';
import type { Celery } from '../app/celery.ts';
import type { Session } from './session.ts';
import { VERSION } from '../version.ts';

function shown(value: unknown): string {
  if (typeof value === 'string') return value;
  return (
    JSON.stringify(value, (_key, one: unknown) => (typeof one === 'function' ? '[function]' : one)) ?? String(value)
  );
}

interface Report {
  readonly software: Readonly<Record<string, string>>;
  readonly platform: Readonly<Record<string, string>>;
  readonly app: string;
  readonly preset: string;
  readonly broker: string;
  readonly results: string;
  readonly tasks: readonly string[];
  /** Settings that are not what Celery 5.6 has by default. */
  readonly differences: readonly { readonly name: string; readonly celery: unknown; readonly here: unknown }[];
}

async function report(app: Celery): Promise<Report> {
  const [transport, backend] = await Promise.all([describe(() => app.transport()), describe(() => app.backend())]);
  const { preset } = app.conf;
  return {
    software: { celeriac: VERSION, node: process.versions.node, v8: process.versions.v8 },
    platform: { system: os.type(), release: os.release(), arch: process.arch, cpus: String(os.availableParallelism()) },
    app: app.main,
    preset,
    broker: transport,
    results: backend,
    tasks: app.tasks.names().filter((name) => !name.startsWith('celery.')),
    differences: configDifferences(app.conf),
  };
}

/** A driver that is not installed is part of the report, not its end. */
async function describe(open: () => Promise<{ readonly name: string; readonly displayUrl: string }>): Promise<string> {
  try {
    const { name, displayUrl } = await open();
    return `${name} ${displayUrl}`;
  } catch (error) {
    return `unusable: ${(error as Error).message}`;
  }
}

function pairs(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}:${value}`)
    .join(' ');
}

/** `celeriac report`: what to put into a bug report. */
export function addReport(program: Command, session: Session): void {
  program
    .command('report')
    .description('versions, platform and settings, for bug reports; secrets masked')
    .option('--all', 'every setting, not only those that differ from Celery')
    .option('-j, --json', 'one line of JSON')
    .action(async (flags: { readonly all?: boolean; readonly json?: boolean }) => {
      const app = await session.app();
      const found = await report(app);
      const all = flags.all ? maskedConfig(app.conf) : undefined;
      if (flags.json) return session.json(all === undefined ? found : { ...found, settings: all });
      session.print(`software -> ${pairs(found.software)}`);
      session.print(`platform -> ${pairs(found.platform)}`);
      session.print(`app      -> ${found.app}, ${found.tasks.length} tasks`);
      session.print(`broker   -> ${found.broker}`);
      session.print(`results  -> ${found.results}`);
      session.print(`preset   -> ${found.preset}`);
      session.print('\nSettings that differ from the defaults of Celery 5.6:');
      if (found.differences.length === 0) session.print('  none');
      for (const { name, celery, here } of found.differences) {
        session.print(`  ${name}: ${shown(here)}  (Celery: ${shown(celery)})`);
      }
      if (all === undefined) return;
      session.print('\nAll settings:');
      for (const name of Object.keys(SETTINGS).sort())
        session.print(`  ${name}: ${shown(all[name as keyof typeof all])}`);
    });
}
