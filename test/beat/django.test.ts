import { afterAll, beforeAll, beforeEach, describe, test } from 'vitest';
import { missing } from '../support/available.ts';
import { commandLine } from './django/command-line.ts';
import { outages } from './django/outages.ts';
import { compare, runs } from './django/runs.ts';
import { PLACES, type Site } from './django/site.ts';
import { takeover } from './django/takeover.ts';
import { tables } from './django/tables.ts';

/* django-celery-beat's tables on each database; one server for all tests of it. */

const EMPTY = `
for model in (PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule, PeriodicTasks):
    model.objects.all().delete()`;

describe.each(Object.entries(PLACES))('django-celery-beat on %s', (name, { why, open }) => {
  describe.skipIf(why ?? missing('python'))('real tables', () => {
    let site: Site;
    beforeAll(async () => {
      site = await open();
    });
    afterAll(() => site?.close());
    beforeEach(() => site.python.run(EMPTY));

    tables(() => site);
    runs(() => site);
    if (name === 'SQLite') commandLine(() => site);
    if (name !== 'SQLite') outages(() => site);
    if (missing('redis') === undefined) takeover(() => site);
  });
});

describe.skipIf(missing('python'))('django-celery-beat on SQLite, in a project without USE_TZ', () => {
  let site: Site;
  beforeAll(async () => {
    const settings = { USE_TZ: false, TIME_ZONE: 'Europe/Paris', DJANGO_CELERY_BEAT_TZ_AWARE: false };
    site = await PLACES.SQLite.open(settings);
  });
  afterAll(() => site?.close());

  test('the same as in Python', async () => {
    await compare(site, '2027-03-27T20:00:00Z', 8, { useTz: false, timeZone: 'Europe/Paris' });
  });
});
