import { afterAll, beforeAll, expect, test } from 'vitest';
import { DjangoDatabase } from '../../../src/beat/django/database.ts';
import { DatabaseSchedules } from '../../../src/beat/django/schedules.ts';
import { clocked, crontab, every, solar, UsageError } from '../../../src/index.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import type { Django } from '../../support/django.ts';
import type { Site } from './site.ts';

/*
 * Periodic tasks of the tables, written by real Django and read by us, and the reverse.
 */

const ROW = `
def row(**where):
    task = PeriodicTask.objects.get(**where)
    schedule = task.scheduler
    return {
        "task": task.task, "schedule": str(schedule), "args": task.args, "kwargs": task.kwargs, "queue": task.queue,
        "exchange": task.exchange, "routing_key": task.routing_key, "headers": task.headers,
        "priority": task.priority, "expires": task.expires, "expire_seconds": task.expire_seconds,
        "one_off": task.one_off, "start_time": task.start_time, "enabled": task.enabled,
        "last_run_at": task.last_run_at, "count": task.total_run_count, "description": task.description,
    }
`;

export function tables(site: () => Site): void {
  let python: Django;
  let schedules: DatabaseSchedules;

  beforeAll(async () => {
    python = site().python;
    await python.run(ROW);
    schedules = new DatabaseSchedules(new DjangoDatabase(site().url, {}, systemClock), 'UTC');
  });
  afterAll(() => schedules?.close());

  test('tables: rows of Django are read, field by field', async () => {
    await python.run(`
interval = IntervalSchedule.objects.create(every=90, period="minutes")
PeriodicTask.objects.create(
    name="all fields", task="shop.report", interval=interval, args='[1, "zwei", null]', kwargs='{"day": "Montag ü"}',
    queue="reports", exchange="ex", routing_key="rk", headers='{"tenant": 7}', priority=9,
    expires=datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=timezone.utc), one_off=True,
    start_time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), description="what it is for",
    last_run_at=datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=timezone.utc), total_run_count=41)
cron = CrontabSchedule.objects.create(minute="*/15", hour="8-18", day_of_week="mon-fri", timezone=ZoneInfo("Europe/Paris"))
PeriodicTask.objects.create(name="cron", task="shop.cron", crontab=cron, expire_seconds=60, enabled=False)
at = ClockedSchedule.objects.create(clocked_time=datetime(2030, 1, 1, 0, 0, 0, 500000, tzinfo=timezone.utc))
PeriodicTask.objects.create(name="once", task="shop.once", clocked=at, one_off=True)
`);
    const [all, cron, once] = await schedules.list();
    expect(all).toMatchObject({
      name: 'all fields',
      task: 'shop.report',
      args: [1, 'zwei', null],
      kwargs: { day: 'Montag ü' },
      queue: 'reports',
      exchange: 'ex',
      routingKey: 'rk',
      headers: { tenant: 7 },
      priority: 9,
      expires: new Date('2031-05-06T07:08:09.123Z'),
      expireSeconds: null,
      oneOff: true,
      startTime: new Date('2026-01-02T03:04:05Z'),
      enabled: true,
      lastRunAt: new Date('2026-02-03T04:05:06Z'),
      totalRunCount: 41,
      description: 'what it is for',
    });
    expect(String((all as { schedule?: unknown }).schedule)).toBe('<freq: 1.50 hours>');
    expect(cron).toMatchObject({
      name: 'cron',
      enabled: false,
      expireSeconds: 60,
      schedule: { timezone: 'Europe/Paris' },
    });
    expect(String((cron as { schedule?: unknown }).schedule)).toBe('<crontab: */15 8-18 * * mon-fri (m/h/dM/MY/d)>');
    expect(String((once as { schedule?: unknown }).schedule)).toBe('<clocked: 2030-01-01 00:00:00.500000+00:00>');
  });

  test('tables: what we write, Django reads', async () => {
    await schedules.create({
      name: 'ours',
      task: 'shop.report',
      schedule: crontab({ minute: [0, 30], hour: '*/2', timezone: 'Asia/Kolkata' }),
      args: [1, 'zwei'],
      kwargs: { day: 'ü' },
      queue: 'reports',
      exchange: 'ex',
      routingKey: 'rk',
      headers: { tenant: 7 },
      priority: 3,
      expires: new Date('2031-05-06T07:08:09.125Z'),
      startTime: new Date('2026-01-02T03:04:05Z'),
      description: 'what it is for',
    });
    expect(await python.run(`result = row(name="ours")`)).toEqual({
      task: 'shop.report',
      schedule: '0,30 */2 * * * (m/h/dM/MY/d) Asia/Kolkata',
      args: '[1, "zwei"]',
      kwargs: '{"day": "\\u00fc"}',
      queue: 'reports',
      exchange: 'ex',
      routing_key: 'rk',
      headers: '{"tenant": 7}',
      priority: 3,
      expires: '2031-05-06 07:08:09.125000+00:00',
      expire_seconds: null,
      one_off: false,
      start_time: '2026-01-02 03:04:05+00:00',
      enabled: true,
      last_run_at: null,
      count: 0,
      description: 'what it is for',
    });
    // Django's own validation has nothing against it.
    await python.run(`
task = PeriodicTask.objects.get(name="ours")
task.full_clean()
task.crontab.full_clean()
task.save()`);
  });

  test('tables: every kind of schedule has one row, however many tasks share it', async () => {
    const kinds = {
      every: every('90s'),
      crontab: crontab('*/5 4 1-7 jan,mar sun', { timezone: 'America/New_York' }),
      solar: solar('dawn_civil', 48.856613, -2.352222),
      clocked: clocked('2030-01-01T00:00:00.250Z'),
      fraction: every('250ms'),
    };
    for (const [name, schedule] of Object.entries(kinds)) {
      for (const suffix of ['', ' again']) await schedules.create({ name: name + suffix, task: 't', schedule });
    }
    expect(
      await python.run(`
for task in PeriodicTask.objects.all():
    task.full_clean()
    task.scheduler.full_clean()
result = [[str(row) for row in model.objects.all()] for model in (IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule)]`),
    ).toEqual([
      ['every 250000 microseconds', 'every 90 seconds'],
      ['*/5 4 1-7 jan,mar sun (m/h/dM/MY/d) America/New_York'],
      ['Civil dawn (48.856613, -2.352222)'],
      // In the project's own zone.
      ['2029-12-31 18:00:00.250000-06:00'],
    ]);
    const [back] = (await schedules.list()).filter(({ name }) => name === 'solar');
    expect(back).toMatchObject({ schedule: { event: 'dawn_civil', latitude: 48.856613, longitude: -2.352222 } });
  });

  test('tables: an edit changes what it names, tells every beat, and leaves the rest as it is', async () => {
    await python.run(`
interval = IntervalSchedule.objects.create(every=10, period="seconds")
PeriodicTask.objects.create(name="edited", task="shop.tick", interval=interval, args="[1]", priority=5, total_run_count=3,
    last_run_at=datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=timezone.utc))
# A moment in the future: the clocks of two machines differ.
PeriodicTasks.objects.update(last_update=datetime(2036, 1, 1, tzinfo=timezone.utc))
class Watcher(schedulers.DatabaseScheduler):
    def __init__(self): self._last_timestamp = None
watcher = Watcher()
result = watcher.schedule_changed()`);
    const changed = () => python.run(`result = watcher.schedule_changed()`);
    expect(await changed()).toBe(false);

    const edited = await schedules.update('edited', { schedule: every('10s'), args: [1, 2] });
    expect(edited).toMatchObject({ args: [1, 2], priority: 5, totalRunCount: 3 });
    expect(await changed()).toBe(true);
    expect(await python.run(`result = [row(name="edited"), IntervalSchedule.objects.count()]`)).toMatchObject([
      { args: '[1, 2]', schedule: 'every 10 seconds', last_run_at: '2026-02-03 04:05:06.000007+00:00', count: 3 },
      1,
    ]);

    await schedules.put({ name: 'edited', task: 'shop.tick', schedule: every('10s'), args: [1, 2] });
    expect(await changed()).toBe(false);
    await schedules.disable('edited');
    expect(await changed()).toBe(true);
    expect(await python.run(`result = row(name="edited")`)).toMatchObject({ enabled: false, last_run_at: null });
    await schedules.enable('edited');
    expect(await changed()).toBe(true);
    expect(await schedules.delete('edited')).toBe(true);
    expect(await schedules.delete('edited')).toBe(false);
    expect(await changed()).toBe(true);
    expect(await python.run(`result = PeriodicTask.objects.count()`)).toBe(0);
  });

  test('tables: what the tables cannot hold is refused, and nothing is written', async () => {
    const entry = { name: 'bad', task: 'shop.tick', schedule: every('10s') };
    const refused: readonly (readonly [object, RegExp])[] = [
      [{ schedule: every('10s', { relative: true }) }, /relative/],
      [{ schedule: every(3_000_000.5) }, /microseconds/],
      [{ schedule: { next: () => 0, toString: () => 'mine' } }, /got mine/],
      [{ schedule: clocked('2030-01-01T00:00:00Z'), oneOff: false }, /oneOff is true/],
      [{ expires: new Date('2030-01-01T00:00:00Z'), expireSeconds: 5 }, /only one of/],
      [{ priority: 256 }, /0 to 255/],
      [{ expireSeconds: 1.5 }, /whole number/],
      [{ queue: 'q'.repeat(201) }, /at most 200/],
      [{ name: '' }, /not empty/],
    ];
    for (const [fields, why] of refused) {
      await expect(schedules.create({ ...entry, ...fields }), String(why)).rejects.toThrow(why);
    }
    await schedules.create(entry);
    await expect(schedules.create(entry)).rejects.toThrow(UsageError);
    await expect(schedules.update('none', {})).rejects.toThrow('no periodic task "none"');
    expect(await python.run(`result = [PeriodicTask.objects.count(), ClockedSchedule.objects.count()]`)).toEqual([
      1, 0,
    ]);
  });

  test('tables: a row that cannot be read is told, and can be mended', async () => {
    await python.run(`
interval = IntervalSchedule.objects.create(every=10, period="seconds")
cron = CrontabSchedule.objects.create(minute="61")
PeriodicTask.objects.create(name="args", task="t", interval=interval, args="[1")
PeriodicTask.objects.create(name="cron", task="t", crontab=cron)
PeriodicTask.objects.create(name="good", task="t", interval=interval)
PeriodicTask.objects.create(name="shape", task="t", interval=interval, kwargs="[]")`);
    expect(await schedules.list()).toMatchObject([
      { name: 'args', enabled: true, problem: expect.stringContaining('periodic task "args", args: ') },
      { name: 'cron', problem: expect.stringContaining('periodic task "cron", crontab: ') },
      { name: 'good', schedule: { everyMs: 10_000 } },
      { name: 'shape', problem: 'periodic task "shape", kwargs: expected a JSON object, got []' },
    ]);
    expect(await schedules.update('args', { args: [1] })).toMatchObject({ args: [1] });
    await schedules.disable('cron');
    expect(await schedules.get('cron')).toMatchObject({ enabled: false });
  });
}
