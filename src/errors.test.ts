import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import * as errors from './errors.ts';

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');

test('docs/errors.md lists every class of errors.ts, and no other', () => {
  const documented = [...read('../docs/errors.md').matchAll(/^\| `ERR_\w+` \| `(\w+)` \|/gm)].map((match) => match[1]);
  const exported = Object.keys(errors).filter((name) => name !== 'CeleryError');
  expect(new Set(documented)).toEqual(new Set(exported));
});

test('docs/errors.md lists every code of errors.ts with its class, and no other', () => {
  const documented = [...read('../docs/errors.md').matchAll(/^\| `(ERR_\w+)` \| `(\w+)` \|/gm)];
  const classes = read('./errors.ts')
    .split(/^export class /m)
    .slice(1);
  const inCode = classes.flatMap((source) =>
    [...source.matchAll(/'(ERR_\w+)'/g)].map((match) => `${match[1]} ${/^\w+/.exec(source)?.[0]}`),
  );
  expect(documented.map((match) => `${match[1]} ${match[2]}`).toSorted()).toEqual(inCode.toSorted());
});

test('every row says when and what to do', () => {
  for (const line of read('../docs/errors.md')
    .split('\n')
    .filter((text) => text.startsWith('| `ERR_'))) {
    expect(line.split(' | ').map((cell) => cell.length > 3)).toEqual([true, true, true, true]);
  }
});

test('an error of another copy of the library is recognised by its brand', () => {
  const foreign = Object.assign(new Error('x'), { [Symbol.for('celeriac.error')]: true });
  expect(errors.CeleryError.is(foreign)).toBe(true);
  expect(errors.CeleryError.is(new Error('x'))).toBe(false);
  expect(new errors.ContentDisallowed('x')).toMatchObject({
    name: 'ContentDisallowed',
    code: 'ERR_CONTENT_DISALLOWED',
  });
});
