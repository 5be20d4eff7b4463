import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { settingsPage } from './settings-page.ts';
import { SETTING_NAMES } from './settings.ts';

const page = new URL('../../docs/settings.md', import.meta.url);
if (process.env['UPDATE_DOCS'] === '1') writeFileSync(page, settingsPage());

test('docs/settings.md is what the table says', () => {
  expect(readFileSync(page, 'utf8')).toBe(settingsPage());
});

test('every setting has exactly one row, and every row is a setting', () => {
  const rows = [...readFileSync(page, 'utf8').matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]);
  expect(rows).toHaveLength(SETTING_NAMES.length);
  expect(new Set(rows)).toEqual(new Set(SETTING_NAMES));
});
