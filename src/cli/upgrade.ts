import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { oldName, snakeName } from '../app/setting-names.ts';
import { SETTING_NAMES, type SettingName } from '../app/settings.ts';
import { CommandError, EXIT } from './exit.ts';
import type { Session } from './session.ts';

interface UpgradeFlags {
  readonly django?: boolean;
  readonly compat?: boolean;
  /** `false` with `--no-backup`. */
  readonly backup?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

interface Change {
  readonly line: number;
  readonly from: string;
  readonly to: string;
}

/** `celeriac upgrade settings FILE`: from the names before Celery 4 to today's. */
export function addUpgrade(program: Command, session: Session): void {
  program
    .command('upgrade')
    .description('bring a project up to date')
    .command('settings')
    .description('rename old settings (CELERYD_CONCURRENCY) in a Python, TypeScript or JavaScript file')
    .argument('<file>')
    .option('--django', 'keep a prefix: CELERY_WORKER_CONCURRENCY')
    .option('--compat', 'the same')
    .option('--no-backup', 'keep no copy named <file>.orig')
    .option('--dry-run', 'show what would change, and change nothing')
    .option('-j, --json', 'the changes as one line of JSON')
    .action((name: string, flags: UpgradeFlags) => {
      const file = session.path(name);
      if (!existsSync(file)) throw new CommandError(`there is no file ${name}`, { exitCode: EXIT.usage });
      const text = readFileSync(file, 'utf8');
      const { upgraded, changes } = upgradeSettings(text, spelling(file, flags));
      if (changes.length > 0 && !flags.dryRun) {
        if (flags.backup !== false) {
          if (existsSync(`${file}.orig`))
            throw new CommandError(`${name}.orig exists already`, { hint: 'Move it away, or use --no-backup' });
          writeFileSync(`${file}.orig`, text, { flag: 'wx' });
        }
        // Whole or not at all: a crash leaves the old file.
        writeFileSync(`${file}.new`, upgraded);
        renameSync(`${file}.new`, file);
      }
      if (flags.json) return session.json({ file, changes, written: changes.length > 0 && !flags.dryRun });
      for (const { line, from, to } of changes) session.print(`${name}:${line}: ${from} -> ${to}`);
      session.print(
        changes.length === 0 ? 'Nothing to change.' : flags.dryRun ? 'Nothing written.' : `${changes.length} changed.`,
      );
    });
}

function spelling(file: string, flags: UpgradeFlags): (name: SettingName) => string {
  if (flags.django || flags.compat) {
    return (name) => {
      const upper = snakeName(name).toUpperCase();
      return upper.startsWith('CELERY_') ? upper : `CELERY_${upper}`;
    };
  }
  return /\.[cm]?[jt]sx?$/.test(file) ? (name) => name : snakeName;
}

const BY_OLD_NAME: ReadonlyMap<string, SettingName> = new Map(SETTING_NAMES.map((name) => [oldName(name), name]));

/**
 * Renames whole identifiers only, and no environment variables. Source: celery.bin.upgrade. Differs: Celery replaces parts of words, one in a line.
 */
export function upgradeSettings(
  text: string,
  spell: (name: SettingName) => string,
): { readonly upgraded: string; readonly changes: readonly Change[] } {
  const changes: Change[] = [];
  const lines = text.split('\n').map((line, index) =>
    line.replace(
      /(?<![\p{ID_Continue}]|env\.|(?:environ\[|getenv\(|environ\.get\(|env\[)['"])[A-Z][A-Z0-9_]+(?![\p{ID_Continue}])/gu,
      (from) => {
        const name = BY_OLD_NAME.get(from);
        const to = name === undefined ? from : spell(name);
        if (to !== from) changes.push({ line: index + 1, from, to });
        return to;
      },
    ),
  );
  return { upgraded: lines.join('\n'), changes };
}
