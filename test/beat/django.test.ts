import { afterAll, beforeAll, beforeEach, describe } from 'vitest';
import { missing } from '../support/available.ts';
import { outages } from './django/outages.ts';
import { runs } from './django/runs.ts';
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
    if (name !== 'SQLite') outages(() => site);
    if (missing('redis') === undefined) takeover(() => site);
  });
});
