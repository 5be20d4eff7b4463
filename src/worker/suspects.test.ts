import { expect, test } from 'vitest';
import { ManualClock } from '../testing/manual-clock.ts';
import { Suspects } from './suspects.ts';

test('one begins when the one before it has ended, or has had its head start', async () => {
  const clock = new ManualClock();
  const suspects = new Suspects<object>(clock);
  const began: string[] = [];
  const [a, b, c] = [{}, {}, {}];
  for (const [name, suspect] of Object.entries({ a, b, c })) {
    void suspects.turn(suspect).then(() => began.push(name));
  }
  await clock.advance(0);
  expect(began).toEqual(['a']);
  suspects.ended({});
  suspects.ended(a);
  await clock.advance(249);
  expect(began).toEqual(['a']);
  await clock.advance(1);
  expect(began).toEqual(['a', 'b']);
  await clock.advance(2_999);
  expect(began).toEqual(['a', 'b']);
  await clock.advance(1);
  expect(began).toEqual(['a', 'b', 'c']);
  suspects.ended(c);
  await clock.advance(250);
  await suspects.turn({});
});
