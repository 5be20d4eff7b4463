import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { ManualClock } from '../../src/testing/index.ts';
import { missing } from '../support/available.ts';
import { PYTHON } from '../support/global-setup.ts';

/*
 * The same calls at the same moment, made by Python Celery and here: what stands in `eta` and `expires`.
 */

const reason = missing('python');

const SCRIPT = `
import datetime, json, sys
from celery import Celery

out = []
for case in json.load(sys.stdin):
    app = Celery("times", broker="memory://")
    app.conf.update(timezone=case["timezone"], enable_utc=case["enableUtc"])
    now = datetime.datetime.fromtimestamp(case["nowMs"] / 1000, tz=app.timezone)
    message = app.amqp.as_task_v2("id", "t", now=now, countdown=case["countdown"], expires=case["expires"])
    out.append([message.headers["eta"], message.headers["expires"]])
print(json.dumps(out))
`;

describe.skipIf(reason !== undefined)(`times${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  test('eta and expires are written as Python writes them, in every zone', async () => {
    const zones: [timezone: string | null, enableUtc: boolean][] = [
      [null, true],
      ['UTC', true],
      ['Asia/Kolkata', true],
      ['Europe/Paris', true],
      ['America/New_York', false],
      ['America/St_Johns', true],
      ['Pacific/Chatham', false],
    ];
    // Winter, summer, near a change of clocks, whole seconds and parts of one. Across a change Python counts on the
    // wall clock, and so sends another moment than the one that was asked for; we do not.
    const moments = [
      Date.UTC(2026, 0, 2, 3, 4, 5),
      Date.UTC(2026, 6, 15, 23, 59, 59, 250),
      Date.UTC(2026, 9, 25, 2, 0, 0),
      Date.UTC(2026, 2, 28, 23, 59, 58, 1),
    ];
    const cases = zones.flatMap(([timezone, enableUtc]) =>
      moments.map((nowMs) => ({ timezone, enableUtc, nowMs, countdown: 2.5, expires: 3600 })),
    );
    const python = spawnSync(PYTHON, ['-c', SCRIPT], { input: JSON.stringify(cases), encoding: 'utf8' });
    expect(python.stderr).toBe('');
    const ours: unknown[] = [];
    for (const { timezone, enableUtc, nowMs, countdown, expires } of cases) {
      await using app = new Celery({
        broker: 'memory://',
        env: {},
        clock: new ManualClock(nowMs),
        enableUtc,
        ...(timezone !== null && { timezone }),
      });
      await app.send('t', [], { countdown: countdown * 1000, expires: expires * 1000 });
      const connection = await (await app.transport()).connect();
      const headers = (await (await connection.channel()).get('celery'))?.message.headers;
      ours.push([headers?.['eta'], headers?.['expires']]);
      await connection.close();
    }
    expect(ours).toEqual(JSON.parse(python.stdout));
  });
});
