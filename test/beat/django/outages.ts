import { expect, test } from 'vitest';
import { databaseScheduler } from '../../../src/beat/django/index.ts';
import { DjangoDatabase } from '../../../src/beat/django/database.ts';
import { readTasks } from '../../../src/beat/django/rows.ts';
import { Beat } from '../../../src/beat/index.ts';
import { Celery } from '../../../src/index.ts';
import { ManualClock } from '../../../src/testing/index.ts';
import { faultProxy } from '../../support/fault-proxy.ts';
import type { SqlServer } from '../../support/sql-servers.ts';
import { until } from '../../support/until.ts';
import type { Site } from './site.ts';

/*
 * The database goes away under a running beat, and comes back.
 */

export function outages(site: () => Site): void {
  test('outages: beat goes on when the database is back, and counts what it sent', async () => {
    const { python, url } = site();
    const server = site().server as SqlServer;
    await python.run(`
second = IntervalSchedule.objects.create(every=1, period="seconds")
PeriodicTask.objects.create(name="tick", task="t", interval=second)`);
    const app = new Celery({
      broker: 'memory://',
      backend: 'disabled://',
      resultExpires: null,
      beatMaxLoopInterval: 1,
    });
    const ids: unknown[] = [];
    const send = app.sender.sendDetached.bind(app.sender);
    app.sender.sendDetached = (dict, ...rest) => {
      ids.push(dict.options['task_id']);
      return send(dict, ...rest);
    };
    const store = databaseScheduler(app, url);
    const stop = new AbortController();
    const running = new Beat(app, { store }).run({ signal: stop.signal });
    const sends = (more: number): Promise<unknown> => {
      const before = ids.length;
      return until(() => ids.length >= before + more, { message: `${more} more runs`, timeoutMs: 60_000 });
    };
    try {
      await sends(2);
      await server.restart();
      await sends(2);
    } finally {
      stop.abort();
      await running;
      await store.close?.();
      await app.close();
    }
    // Django's own connection broke, too.
    await python.run(`
from django.db import close_old_connections
try: PeriodicTask.objects.count()
except Exception: close_old_connections()`);
    // A run that was sent while its end could not be written down came again under its id.
    expect(await python.run(`result = PeriodicTask.objects.get(name="tick").total_run_count`)).toBe(new Set(ids).size);
  });

  test('outages: a database that does not answer is given up after half a minute, and the next one counts', async () => {
    const { url } = site();
    const server = site().server as SqlServer;
    await using proxy = await faultProxy(server.port);
    const clock = new ManualClock();
    await using database = new DjangoDatabase(url.replace(`:${server.port}`, `:${proxy.port}`), {}, clock);
    const ask = (): Promise<unknown> => database.read((db) => readTasks(db));
    await ask();
    proxy.mode = 'blackhole';
    const asked = ask().then(
      () => 'answered',
      (error: unknown) => error,
    );
    await until(() => clock.pending > 0, { message: 'the question waits' });
    await clock.advance('30s');
    expect(await asked).toMatchObject({ code: 'ERR_OPERATIONAL', message: expect.stringContaining('no answer') });
    proxy.mode = 'pass';
    expect(await ask()).toEqual([]);
  });
}
