import { SAFE_PRESET } from './presets.ts';
import type { Setting } from './setting.ts';
import { SETTING_GROUPS, type SettingName } from './settings.ts';

const INTRODUCTION = `# Settings

Names are Celery's in camelCase; \`task_acks_late\` is accepted for \`taskAcksLate\`, and so are the upper-case names from before
Celery 4.0 and, with a namespace, \`CELERY_TASK_ACKS_LATE\`. Numbers of time are seconds, as in Celery; texts such as \`'30s'\`
and \`'1.5h'\` work too. An unknown name is an error that proposes the nearest one.

Later sources win: built-in defaults, added defaults, the loaded object, what the application sets, the environment variables
named below. On the command line, \`celeriac worker … worker.concurrency=4\` sets one.

**Default** is the value of the preset \`celery\`, Celery 5.6's own; where the preset \`safe\`, which is used unless you say
otherwise, has another one, it follows in brackets. **Status**: *used*, or *accepted*: known and checked, but nothing reads it yet.

Where no broker is named, \`safe\` uses the embedded one (\`sqlite://\`, the file \`.celeriac/celeriac.db\`) for messages and results.

This page is generated: \`UPDATE_DOCS=1 npx vitest run src/app/settings-page.test.ts\`.
`;

const code = (value: unknown): string => `\`${value === Infinity ? 'Infinity' : JSON.stringify(value)}\``;

function row(name: string, setting: Setting<unknown>): string {
  const safe = SAFE_PRESET[name as SettingName];
  const cells = [
    `\`${name}\``,
    code(setting.default ?? null) + (safe === undefined ? '' : ` (safe: ${code(safe)})`),
    setting.unit ?? '',
    setting.env === undefined ? '' : `\`${setting.env}\``,
    setting.meaning + (setting.flag === undefined ? '' : ` (\`${setting.flag}\`)`),
    setting.status,
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

/** `docs/settings.md`, from the table. */
export function settingsPage(): string {
  const groups = Object.entries(SETTING_GROUPS).map(([title, settings]) =>
    [
      `## ${title}`,
      '',
      '| Setting | Default | Unit | Environment | Meaning | Status |',
      '|---|---|---|---|---|---|',
      ...Object.entries(settings).map(([name, setting]) => row(name, setting as Setting<unknown>)),
      '',
    ].join('\n'),
  );
  return [INTRODUCTION, ...groups].join('\n');
}
