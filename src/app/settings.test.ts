import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { SETTING_NAMES, SETTINGS } from './settings.ts';
import { oldName, snakeName } from './setting-names.ts';
import { readValue } from './setting-values.ts';
import type { Setting } from './setting.ts';

interface Recorded {
  readonly type: string;
  readonly default: unknown;
}

/** `celery.app.defaults` of 5.6; made by test/fixtures/record-celery.py. */
const celery = JSON.parse(
  readFileSync(new URL('../../test/fixtures/celery-5.6-defaults.json', import.meta.url), 'utf8'),
) as Record<string, Recorded>;

const table = new Map(SETTING_NAMES.map((name) => [snakeName(name), SETTINGS[name] as Setting<unknown>]));

test("every default is Celery's", () => {
  const ours = Object.fromEntries(
    Object.keys(celery).map((name) => {
      const value = table.get(name)?.default;
      return [name, value === Infinity ? 'Infinity' : value];
    }),
  );
  expect(ours).toEqual(Object.fromEntries(Object.entries(celery).map(([name, { default: value }]) => [name, value])));
});

test('a default is of its own type', () => {
  for (const name of SETTING_NAMES) {
    const setting = SETTINGS[name] as Setting<unknown>;
    if (setting.default !== undefined) expect(() => readValue(name, setting, setting.default)).not.toThrow();
  }
});

test('no two settings share a name, old or new', () => {
  const all = SETTING_NAMES.flatMap((name) => [
    name,
    ...(snakeName(name) === name ? [] : [snakeName(name)]),
    oldName(name),
  ]);
  expect(all.filter((name, index) => all.indexOf(name) !== index)).toEqual([]);
});

test('the doc comment of a setting is its meaning in the table', () => {
  const folder = new URL('./settings/', import.meta.url);
  const comments = readdirSync(folder).flatMap((file) =>
    [...readFileSync(new URL(file, folder), 'utf8').matchAll(/\/\*\* (.*)\. \*\/\n {2}readonly (\w+)\??:/g)].map(
      ([, meaning, name]) => [name, meaning],
    ),
  );
  expect(Object.fromEntries(comments)).toEqual(
    Object.fromEntries(SETTING_NAMES.map((name) => [name, SETTINGS[name].meaning])),
  );
});

test('what the table calls used is read somewhere', () => {
  const root = fileURLToPath(new URL('..', import.meta.url));
  // What calls and signatures are given has names of its own, some of them the same.
  const own = /\.test\.ts$|[/\\]app[/\\](?:settings[/\\].*|setting|presets)\.ts$|[/\\]canvas[/\\]/;
  const source = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((file) => join(root, file))
    .filter((file) => file.endsWith('.ts') && !own.test(file))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  const words = new Set(source.match(/\w+/g));
  expect(SETTING_NAMES.filter((name) => SETTINGS[name].status === 'used' && !words.has(name))).toEqual([]);
});
