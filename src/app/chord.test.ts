import { expect, test } from 'vitest';
import { signatureOf } from '../canvas/call.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { Celery } from './celery.ts';
import { returnPart } from './chord.ts';
import type { TaskRequest } from './request.ts';

test('the body fails when what it needs besides the members has no result in time: resultChordJoinTimeout', async () => {
  const clock = new ManualClock();
  const app = new Celery({ broker: 'memory://', backend: 'memory://', resultChordJoinTimeout: 3, env: {}, clock });
  const total = app.task('total', (values: unknown[]) => values.length);
  const { chords } = await app.backend();
  // A group within the header whose member is nobody that counts, as one that took another's place.
  await chords?.begin('g', 1, [
    ['g', null],
    [
      [['member', null], null],
      [['inner', null], [[['stuck', null], null]]],
    ],
  ]);
  const body = total.s().freeze('body');
  const request = { id: 'member', group: 'g', groupIndex: 0, chord: signatureOf(body), errbacks: null };
  const returned = returnPart(app, request as unknown as TaskRequest, 'SUCCESS', 1);
  await clock.advance(2_900);
  expect(await app.result('body').state()).toBe('PENDING');
  await clock.advance(200);
  await returned;
  const failed = app.result('body').get({ timeout: '1s' });
  await expect(failed).rejects.toThrow(/could not be joined: TimeoutError\(/);
  await app.close();
});
