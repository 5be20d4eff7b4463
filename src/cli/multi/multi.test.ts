import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { nodesOf } from './cluster.ts';
import { parseWords } from './options.ts';

interface Answer {
  readonly error?: string;
  /** Not 0: Celery reports the options of a node that is not there as an invalid command. */
  readonly code?: number;
  readonly lines?: readonly string[];
}
interface Recorded {
  readonly host: string;
  readonly executable: string;
  readonly cases: readonly {
    readonly words: readonly string[];
    readonly show: Answer;
    readonly names: Answer;
    readonly expand: Answer;
  }[];
}

const file = new URL('../../../test/fixtures/celery-5.6-multi.json', import.meta.url);
const { host, executable, cases } = JSON.parse(readFileSync(file, 'utf8')) as Recorded;

test.each(cases.map((one) => [one.words.join(' '), one] as const))('celery multi %s', (_, one) => {
  const nodes = () =>
    nodesOf(parseWords(one.words), { command: '-m celery worker --detach', executable, hostname: host });
  if (one.show.error !== undefined || one.show.code !== 0) {
    expect(() => nodes().map(({ commandLine }) => commandLine)).toThrow(RangeError);
    return;
  }
  const lines = (texts: string[]): string[] => texts.join('\n').split('\n');
  expect(lines(nodes().map(({ commandLine }) => commandLine))).toEqual(one.show.lines);
  expect(lines(nodes().map(({ name }) => name))).toEqual(one.names.lines);
  expect(lines(nodes().map((node) => node.expand('%n|%N|%d|%h|%p')))).toEqual(one.expand.lines);
});
