import { expect, test } from 'vitest';
import { Celery } from '../app/celery.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { eventually } from '../testing/eventually.ts';
import { ChildPool } from './child-pool.ts';
import type { MemberEvents, MemberExit } from './member.ts';
import type { ToChild } from './wire.ts';

/* The supervisor alone, with children made of nothing. */

interface Fake {
  readonly events: MemberEvents;
  readonly sent: ToChild[];
  readonly ended: unknown[];
}

const KILLED: MemberExit = { code: null, signal: 'SIGKILL' };

function supervised(children: number) {
  const clock = new ManualClock();
  const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, clock });
  const members: Fake[] = [];
  const pool = new ChildPool(app, {
    name: 'fake',
    children,
    slots: 1,
    source: { module: 'none' },
    hostname: 'w@fake',
    maxTasksPerChild: null,
    maxMemoryKb: null,
    start: (events) => {
      const fake: Fake = { events, sent: [], ended: [] };
      members.push(fake);
      return {
        pid: members.length,
        send: (batch) => void fake.sent.push(...batch),
        end: (signal) => void fake.ended.push(signal),
      };
    },
  });
  return { clock, pool, members };
}

test('children that never run anything are started later and later, and then the pool gives up', async () => {
  const { clock, pool, members } = supervised(1);
  const started = pool.start();
  await eventually(() => members.length === 1, 'the first child');
  members[0]?.events.messages([['up']]);
  await started;
  let failed: Error | undefined;
  void pool.failed.then((error) => (failed = error));
  for (let death = 1; death <= 10; death++) {
    expect(failed).toBeUndefined();
    members.at(-1)?.events.problem('no memory');
    members.at(-1)?.events.exit(KILLED);
    // The longest wait between two of them.
    if (death < 10) await clock.advance(30_000);
    expect(members).toHaveLength(Math.min(death + 1, 10));
  }
  await eventually(() => failed !== undefined, 'the pool gave up');
  expect(failed?.message).toBe('10 children of the pool died before they ran anything, the last one: no memory');
  await pool.close();
});

test('a child that does not load the app in time is killed, and the start fails', async () => {
  const { clock, pool, members } = supervised(1);
  const started = pool.start().catch((error: unknown) => error);
  await eventually(() => members.length === 1, 'the child');
  await clock.advance(60_000);
  expect(members[0]?.ended).toEqual(['SIGKILL']);
  members[0]?.events.exit(KILLED);
  expect(String(await started)).toMatch(/has not loaded the app within 60 s/);
  const closed = pool.close();
  await eventually(() => members[1]?.ended.length === 1, 'its successor is ended');
  members[1]?.events.exit(KILLED);
  await closed;
});

test('children that do not leave are killed', async () => {
  const { clock, pool, members } = supervised(2);
  const started = pool.start();
  await eventually(() => members.length === 2, 'two children');
  for (const { events } of members) events.messages([['up']]);
  await started;
  const closed = pool.close();
  await eventually(() => members.every(({ sent }) => sent.some(([what]) => what === 'leave')), 'they were told');
  members[0]?.events.exit({ code: 0, signal: null });
  await clock.advance(3_000);
  expect(members[1]?.ended).toEqual(['SIGKILL']);
  members[1]?.events.exit(KILLED);
  await closed;
});
