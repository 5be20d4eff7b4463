import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/*
 * test/coverage.md names, for each feature, the tests that show it. What it says has to be there.
 */

const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** How many features each area has, numbered from 1. */
const AREAS: Readonly<Record<string, number>> = {
  APP: 16,
  PRO: 17,
  DEF: 20,
  CALL: 16,
  RET: 8,
  RES: 15,
  CAN: 25,
  STA: 4,
  ROU: 15,
  BRK: 22,
  BKD: 16,
  SER: 12,
  POOL: 8,
  W: 19,
  LIM: 10,
  RC: 17,
  EV: 11,
  FLO: 14,
  BEAT: 15,
  DCB: 8,
  CLI: 13,
  DMN: 5,
  TST: 7,
  SIG: 8,
  EXT: 8,
  LOG: 5,
  DBG: 4,
  FW: 5,
};

interface Feature {
  readonly id: string;
  readonly tests: { readonly file: string; readonly text: string }[];
  readonly gaps: string[];
}

function read(): Feature[] {
  const features: Feature[] = [];
  for (const line of readFileSync(root('test/coverage.md'), 'utf8').split('\n')) {
    const [, id] = /^- ([A-Z]+-\d+) \S/.exec(line) ?? [];
    if (id !== undefined) features.push({ id, tests: [], gaps: [] });
    const [, file, text] = /^ {2}- `(.+?)`: (.+)$/.exec(line) ?? [];
    if (file !== undefined && text !== undefined) features.at(-1)?.tests.push({ file, text });
    const [, gap] = /^ {2}- gap: (.+)$/.exec(line) ?? [];
    if (gap !== undefined) features.at(-1)?.gaps.push(gap);
  }
  return features;
}

test('every feature stands there once', () => {
  const wanted = Object.entries(AREAS).flatMap(([area, count]) =>
    Array.from({ length: count }, (_, i) => `${area}-${i + 1}`),
  );
  expect(read().map(({ id }) => id)).toEqual(wanted);
});

test('every feature has a test, or says what is missing', () => {
  expect(read().filter(({ tests, gaps }) => tests.length + gaps.length === 0)).toEqual([]);
});

test('every test that is named exists', () => {
  const plain = (text: string): string => text.replaceAll('\\', '').replaceAll('’', "'");
  const files = new Map<string, string>();
  const absent = read().flatMap(({ id, tests }) =>
    tests
      .filter(({ file, text }) => {
        if (!files.has(file)) files.set(file, existsSync(root(file)) ? plain(readFileSync(root(file), 'utf8')) : '');
        return !files.get(file)?.includes(plain(text));
      })
      .map(({ file, text }) => `${id}: ${file} has no "${text}"`),
  );
  expect(absent).toEqual([]);
});
