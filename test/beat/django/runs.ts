import { expect, test } from 'vitest';
import { databaseScheduler, type DjangoOptions } from '../../../src/beat/django/index.ts';
import { Beat, ScheduleControl, type ScheduleStore } from '../../../src/beat/index.ts';
import { Celery, crontab, every, type CeleryOptions, type SignatureDict } from '../../../src/index.ts';
import { systemClock, type Clock } from '../../../src/runtime/clock.ts';
import { PlainDate } from '../../../src/serializers/index.ts';
import type { Site } from './site.ts';

/*
 * Our beat on rows that Django wrote, on a clock that is moved by hand.
 */

/** Its time is set by hand; its timers are real ones, for the database's sake. */
class JumpClock implements Clock {
  #ms: number;
  readonly setTimer = systemClock.setTimer;

  constructor(startMs: number) {
    this.#ms = startMs;
  }

  now(): number {
    return this.#ms;
  }

  monotonic(): number {
    return this.#ms;
  }

  jump(ms: number): void {
    this.#ms += ms;
  }
}

interface Rig {
  readonly app: Celery;
  readonly clock: JumpClock;
  readonly store: ScheduleStore;
  readonly beat: Beat;
  readonly sent: SignatureDict[];
  readonly errors: unknown[];
  /** Lets time pass and looks; a change by others is noticed too. */
  pass(ms: number): Promise<SignatureDict[]>;
}

export function rig(url: string, startMs: number, settings: CeleryOptions = {}, options: DjangoOptions = {}): Rig {
  const clock = new JumpClock(startMs);
  const errors: unknown[] = [];
  const quiet = (): void => {};
  const log = {
    level: 'error' as const,
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (fields: object) => void errors.push(fields),
    child: () => log,
  };
  const app = new Celery({
    broker: 'memory://',
    backend: 'disabled://',
    resultExpires: null,
    clock,
    log: log as never,
    ...settings,
  });
  const sent: SignatureDict[] = [];
  const send = app.sender.sendDetached.bind(app.sender);
  app.sender.sendDetached = (dict, ...rest) => {
    sent.push(dict);
    return send(dict, ...rest);
  };
  const store = databaseScheduler(app, url, options);
  const beat = new Beat(app, { store });
  const pass = async (ms: number): Promise<SignatureDict[]> => {
    clock.jump(ms);
    const before = sent.length;
    await beat.tick();
    return sent.slice(before);
  };
  return { app, clock, store, beat, sent, errors, pass };
}

const names = (sent: readonly SignatureDict[]): string[] =>
  sent
    .map(({ options }) => (options['headers'] as Record<string, string>)['periodic_task_name'] as string)
    .sort((a, b) => (a < b ? -1 : 1));

/** Clocks change in Paris (forward), in New York (back). */
const SWITCHES = ['2027-03-27T20:00:00Z', '2027-11-06T22:00:00Z'];

const STEP_MINUTES = 10;

const ROWS = `
from datetime import datetime, timedelta, timezone
def rows(start):
    start = datetime.fromisoformat(start)
    if not settings.USE_TZ: start = start.replace(tzinfo=None)
    def add(name, **fields):
        PeriodicTask.objects.create(name=name, task="t." + name, **fields)
    def interval(every, period): return IntervalSchedule.objects.create(every=every, period=period)
    def sun(event, lat, lon): return SolarSchedule.objects.get_or_create(event=event, latitude=lat, longitude=lon)[0]
    def cron(**fields): return CrontabSchedule.objects.create(**fields)
    paris, york, kathmandu = ZoneInfo("Europe/Paris"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu")
    add("every 7 h", interval=interval(7, "hours"))
    add("every 90 min", interval=interval(90, "minutes"), last_run_at=start - timedelta(minutes=80))
    add("half past two Paris", crontab=cron(minute="30", hour="2", timezone=paris))
    add("half past one York", crontab=cron(minute="30", hour="1", timezone=york))
    add("quarter hours Kathmandu", crontab=cron(minute="0,45", hour="*/6", timezone=kathmandu))
    add("Sundays", crontab=cron(minute="5", hour="4", day_of_week="sun", timezone=paris))
    add("late", crontab=cron(minute="0", hour="12"), last_run_at=start - timedelta(days=3))
    add("once", interval=interval(2, "hours"), one_off=True)
    add("starts", interval=interval(5, "hours"), start_time=start + timedelta(hours=3, minutes=20))
    # Without USE_TZ Python's beat ends on a crontab that has yet to start.
    if settings.USE_TZ: add("starts as a cron", crontab=cron(minute="10"), start_time=start + timedelta(hours=5, minutes=30))
    add("started long ago", interval=interval(1, "days"), start_time=start - timedelta(days=9))
    add("ran, then starts", interval=interval(1, "hours"), start_time=start + timedelta(hours=9),
        last_run_at=start - timedelta(minutes=10))
    add("expires", interval=interval(3, "hours"), expires=start + timedelta(hours=10))
    add("expired", interval=interval(3, "hours"), expires=start - timedelta(hours=1))
    add("clocked", clocked=ClockedSchedule.objects.create(clocked_time=start + timedelta(hours=6, seconds=30)), one_off=True)
    add("clocked before", clocked=ClockedSchedule.objects.create(clocked_time=start - timedelta(hours=6)), one_off=True)
    add("sunset", solar=sun("sunset", "48.856613", "2.352222"))
    add("dawn", solar=sun("dawn_civil", "-33.868820", "151.209290"))
    add("disabled", interval=interval(1, "hours"), enabled=False)
    PeriodicTask.objects.update(date_changed=start)
def state():
    return [[row.name, row.enabled, row.total_run_count, str(row.last_run_at)] for row in PeriodicTask.objects.order_by("name")]
`;

/** Runs the same rows in Python and here, looking every ten minutes; both did the same, and left the same behind. */
export async function compare({ url, python }: Site, start: string, hours: number, options: DjangoOptions = {}) {
  const empty = `PeriodicTask.objects.all().delete()\nrows(${JSON.stringify(start.replace('Z', '+00:00'))})`;
  await python.run(`${ROWS}\n${empty}`);
  const theirs = await python.run<string[]>(`
import django_simulation
result = django_simulation.simulate(app, ${JSON.stringify(start.replace('Z', '+00:00'))}, ${hours * 60}, ${STEP_MINUTES})`);
  const left = await python.run<unknown[][]>(`result = state()\n${empty}`);

  const { app, beat, clock, sent, store } = rig(url, Date.parse(start), {}, options);
  const ours: string[] = [];
  for (let minute = 0; minute < hours * 60; minute += STEP_MINUTES) {
    const before = sent.length;
    await beat.tick();
    const now = new Date(clock.now()).toISOString().slice(0, 16);
    ours.push(...names(sent.slice(before)).map((name) => `${now} ${name}`));
    clock.jump(STEP_MINUTES * 60_000);
  }
  await store.close?.();
  await app.close();
  expect(theirs.length).toBeGreaterThan(10);
  expect(new Set(ours)).toEqual(new Set(theirs));
  expect(ours).toHaveLength(theirs.length);
  expect(await python.run(`result = state()`)).toEqual(left);
}

export function runs(site: () => Site): void {
  test.each(SWITCHES)('runs: the same as in Python, through a change of clocks, from %s', async (start) => {
    const file = site().server === undefined;
    // The file shows what is due when; one look at each server, that moments come back as they went.
    if (file || start === SWITCHES[0]) await compare(site(), start, file ? 16 : 8);
  });

  test('runs: every column reaches the message', async () => {
    const { python, url } = site();
    await python.run(`
interval = IntervalSchedule.objects.create(every=1, period="seconds")
PeriodicTask.objects.create(
    name="all fields", task="shop.report", interval=interval, args='[1, {"__type__": "date", "__value__": "2026-05-06"}]',
    kwargs='{"day": "ü"}', queue="reports", exchange="ex", routing_key="rk", headers='{"tenant": 7}', priority=0,
    expires=datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=timezone.utc))
PeriodicTask.objects.create(name="few", task="shop.few", interval=interval, expire_seconds=60, queue="")
PeriodicTask.objects.create(name="none", task="shop.none", interval=interval, expire_seconds=0)`);
    const { app, pass, store } = rig(url, Date.UTC(2030, 0, 1));
    const [all, few, none] = await pass(0);
    expect(all).toMatchObject({ task: 'shop.report', kwargs: { day: 'ü' } });
    expect(all?.args).toEqual([1, new PlainDate('2026-05-06')]);
    expect(all?.options).toMatchObject({
      queue: 'reports',
      exchange: 'ex',
      routing_key: 'rk',
      priority: 0,
      expires: '2031-05-06T07:08:09.123000+00:00',
      headers: { tenant: 7, periodic_task_name: 'all fields' },
    });
    expect(few?.options).toEqual({
      expires: 60,
      headers: { periodic_task_name: 'few' },
      task_id: expect.any(String) as string,
    });
    expect(none?.options).not.toHaveProperty('expires');
    await store.close?.();
    await app.close();
  });

  test('runs: edits in Django are seen within the loop, edits without the marker within five minutes', async () => {
    const { python, url } = site();
    await python.run(`
interval = IntervalSchedule.objects.create(every=100, period="days")
PeriodicTask.objects.create(name="a", task="t", interval=interval)`);
    const { app, pass, store } = rig(url, Date.now());
    expect(names(await pass(0))).toEqual([]);
    await python.run(`
second = IntervalSchedule.objects.create(every=1, period="seconds")
PeriodicTask.objects.create(name="b", task="t", interval=second)`);
    expect(names(await pass(1000))).toEqual([]);
    expect(names(await pass(5000))).toEqual(['b']);
    await python.run(`
interval.every = 2; interval.period = "seconds"; interval.save()
PeriodicTask.objects.get(name="b").delete()`);
    expect(names(await pass(5000))).toEqual(['a']);
    await python.run(`PeriodicTask.objects.filter(name="a").update(enabled=False)`);
    expect(names(await pass(5000))).toEqual(['a']);
    await pass(300_000);
    expect(names(await pass(5000))).toEqual([]);
    await store.close?.();
    await app.close();
  });

  test('runs: what is written down leaves edits made meanwhile as they are', async () => {
    const { python, url } = site();
    await python.run(`
second = IntervalSchedule.objects.create(every=60, period="seconds")
for name in ("edited", "disabled", "deleted", "plain"):
    PeriodicTask.objects.create(name=name, task="t", interval=second, last_run_at=datetime(2030, 1, 1, tzinfo=timezone.utc))`);
    const { app, beat, clock, sent, store } = rig(url, Date.UTC(2030, 0, 1));
    await beat.tick();
    clock.jump(58_000);
    await beat.tick();
    await python.run(`
PeriodicTask.objects.filter(name="edited").update(args="[7]", description="new", total_run_count=40)
PeriodicTask.objects.filter(name="disabled").update(enabled=False, last_run_at=None)
PeriodicTask.objects.get(name="deleted").delete()
PeriodicTasks.objects.update(last_update=datetime(2000, 1, 1, tzinfo=timezone.utc))`);
    clock.jump(2000);
    await beat.tick();
    expect(sent).toHaveLength(4);
    expect(
      await python.run(`
result = {row.name: [row.args, row.description, row.enabled, row.total_run_count, str(row.last_run_at)] for row in PeriodicTask.objects.all()}`),
    ).toEqual({
      disabled: ['[]', '', false, 1, 'None'],
      edited: ['[7]', 'new', true, 41, '2030-01-01 00:01:00+00:00'],
      plain: ['[]', '', true, 1, '2030-01-01 00:01:00+00:00'],
    });
    await store.close?.();
    await app.close();
  });

  test('runs: a broken row stops nobody else', async () => {
    const { python, url } = site();
    await python.run(`
second = IntervalSchedule.objects.create(every=1, period="seconds")
def add(name, **fields): PeriodicTask.objects.create(**{"name": name, "task": "t", "interval": second, **fields})
add("args", args="[1")
add("kwargs", kwargs="{")
add("headers", headers="nope")
add("cron", interval=None, crontab=CrontabSchedule.objects.create(minute="61"))
add("step", interval=None, crontab=CrontabSchedule.objects.create(minute="*/"))
add("gone")
PeriodicTask.objects.filter(name="gone").update(interval=None)
add("period", interval=IntervalSchedule.objects.create(every=1, period="fortnights"))
add("good")`);
    const { app, errors, pass, store } = rig(url, Date.now() + 60_000);
    expect(names(await pass(0))).toEqual(['good']);
    expect(names(await pass(301_000))).toEqual(['good']);
    expect(errors.map((fields) => (fields as { entry?: string }).entry)).toEqual([
      'args',
      'cron',
      'gone',
      'headers',
      'kwargs',
      'period',
      'step',
    ]);
    expect(
      await python.run(`result = [row.name for row in PeriodicTask.objects.filter(enabled=False).order_by("name")]`),
    ).toEqual(['args', 'gone', 'kwargs']);
    await store.close?.();
    await app.close();
  });

  test('runs: a run whose end was not written down is sent again under the same id', async () => {
    const { python, url } = site();
    await python.run(`
interval = IntervalSchedule.objects.create(every=1, period="hours")
PeriodicTask.objects.create(name="a", task="t", interval=interval, last_run_at=datetime(2030, 1, 1, tzinfo=timezone.utc))`);
    const START = Date.UTC(2030, 0, 1, 2);
    const first = rig(url, START);
    const save = first.store.save.bind(first.store);
    first.store.save = async (states) => {
      if ([...states.values()].some(({ pending }) => pending === undefined)) throw new Error('power cut');
      return save(states);
    };
    await expect(first.beat.tick()).rejects.toThrow('power cut');
    const second = rig(url, START + 5000);
    await second.beat.tick();
    const third = rig(url, START + 10_000);
    await third.beat.tick();
    await third.pass(3_600_000);
    const ids = [first, second, third].map(({ sent }) => sent.map(({ options }) => options['task_id']));
    expect(ids[0]).toHaveLength(1);
    expect(ids[1]).toEqual(ids[0]);
    expect(ids[2]).toHaveLength(1);
    expect(ids[2]).not.toEqual(ids[0]);
    expect(await python.run(`result = PeriodicTask.objects.get(name="a").total_run_count`)).toBe(2);
    for (const { app, store } of [first, second, third]) {
      await store.close?.();
      await app.close();
    }
  });

  test('runs: entries of settings and app become rows as in Python', async () => {
    const { python, url } = site();
    await python.run(`
old = IntervalSchedule.objects.create(every=5, period="days")
PeriodicTask.objects.create(name="kept", task="other", interval=old, args="[9]", description="from the admin", enabled=False)
app.conf.result_expires = 3600
app.conf.beat_schedule = {
    "tick": {"task": "t.tick", "schedule": 30, "args": (1, "ü"), "kwargs": {"k": [None]}},
    "nightly": {"task": "t.nightly", "schedule": schedules.crontab(minute="*/15", hour="3", day_of_week="mon-fri"),
                "options": {"queue": "q", "priority": 3, "headers": {"h": 1}, "expire_seconds": 60}},
    "kept": {"task": "t.kept", "schedule": timedelta(hours=1)},
}
def dump():
    rows = PeriodicTask.objects.order_by("name").values(
        "name", "task", "args", "kwargs", "queue", "exchange", "routing_key", "headers", "priority", "expires",
        "expire_seconds", "one_off", "start_time", "enabled", "last_run_at", "total_run_count", "description")
    return [{**row, "schedule": str(PeriodicTask.objects.get(name=row["name"]).scheduler)} for row in rows]
before = dump()
schedulers.DatabaseScheduler(app=app)
theirs = dump()
PeriodicTask.objects.exclude(name="kept").delete()
PeriodicTask.objects.filter(name="kept").update(task="other", args="[9]", interval=old)
assert dump() == before`);
    const settings: CeleryOptions = {
      resultExpires: 3600,
      beatSchedule: {
        tick: { task: 't.tick', schedule: 30, args: [1, 'ü'], kwargs: { k: [null] } },
        nightly: {
          task: 't.nightly',
          schedule: crontab('*/15 3 * * mon-fri'),
          options: { queue: 'q', priority: 3, headers: { h: 1 }, expire_seconds: 60 },
        },
      },
    };
    const { app, errors, pass, store } = rig(url, Date.now(), settings);
    app.addPeriodicTask('kept', every('1h'), app.remoteTask('t.kept').s());
    expect(names(await pass(0))).toEqual([]);
    expect(await python.run(`result = dump() == theirs or [dump(), theirs]`)).toBe(true);
    expect(errors).toEqual([]);

    // Not written again: the admin's word holds until the app's entry changes.
    await python.run(`PeriodicTask.objects.filter(name="tick").update(args="[2]"); PeriodicTasks.update_changed()`);
    await pass(6000);
    expect(await python.run(`result = PeriodicTask.objects.get(name="tick").args`)).toBe('[2]');
    await store.close?.();
    await app.close();
  });

  test('runs: the schedule is shown and changed as by celeriac schedule', async () => {
    const { python, url } = site();
    await python.run(`
interval = IntervalSchedule.objects.create(every=10, period="days")
PeriodicTask.objects.create(name="of Django", task="t.one", interval=interval, args="[1]", queue="q")
PeriodicTask.objects.create(name="off", task="t.two", interval=interval, enabled=False)`);
    const settings: CeleryOptions = { beatSchedule: { ours: { task: 't.ours', schedule: 3600 } } };
    const { app, sent, store } = rig(url, Date.now(), settings);
    await using control = new ScheduleControl(app, store);
    const state = () =>
      python.run(`result = {row.name: [row.task, row.args, row.queue, row.enabled, str(row.scheduler)]
          for row in PeriodicTask.objects.all()}`);
    const before = await state();
    expect((await control.list()).map(({ name, paused }) => [name, paused])).toEqual([
      ['of Django', false],
      ['off', true],
      ['ours', false],
    ]);
    expect(await state()).toEqual(before);

    await control.add('added', { task: 't.added', schedule: { crontab: '0 3 * * *' }, options: { queue: 'slow' } });
    await control.change('of Django', { args: [1, 2] });
    await expect(control.change('of Django', { jitter: 5 })).rejects.toThrow('no column for jitterMs');
    await control.resume('off');
    await control.pause('ours');
    const id = await control.runNow('of Django');
    expect(sent).toMatchObject([{ task: 't.one', args: [1, 2], options: { queue: 'q', task_id: id } }]);
    expect(await state()).toEqual({
      'of Django': ['t.one', '[1, 2]', 'q', true, 'every 10 days'],
      off: ['t.two', '[]', null, true, 'every 10 days'],
      ours: ['t.ours', '[]', null, false, 'every 3600 seconds'],
      added: ['t.added', '[]', 'slow', true, '0 3 * * * (m/h/dM/MY/d) UTC'],
    });
    await control.remove('added');
    await control.reset('ours');
    expect(await state()).toMatchObject({ ours: ['t.ours', '[]', null, true, 'every 3600 seconds'] });
    expect(await state()).not.toHaveProperty('added');
    await app.close();
  });
}
