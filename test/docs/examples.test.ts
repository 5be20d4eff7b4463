import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));

test('every program that examples/README.md names is there', () => {
  const index = readFileSync(`${EXAMPLES}README.md`, 'utf8');
  const listed = [...index.matchAll(/\]\(([\w-]+\/main\.mjs)\)/g)].map((match) => match[1] as string);
  expect(listed.length).toBeGreaterThan(30);
  expect(listed.filter((path) => !existsSync(`${EXAMPLES}${path}`))).toEqual([]);
});
