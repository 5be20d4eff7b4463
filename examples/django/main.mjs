// Beat works from the tables of django-celery-beat: rows that Django's admin would have made, and rows made from here.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Celery, crontab, every } from 'celeriac';
import { Beat } from 'celeriac/beat';
import { databaseSchedules } from 'celeriac/beat/django';
import { Worker } from 'celeriac/worker';
import Database from 'libsql';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-django-'));
const file = join(folder, 'db.sqlite3');
// In a project, `manage.py migrate` makes them.
const django = new Database(file);
django.exec(readFileSync(new URL('tables.sql', import.meta.url), 'utf8'));
django.exec(`INSERT INTO django_celery_beat_intervalschedule (id, every, period) VALUES (1, 1, 'seconds');
  INSERT INTO django_celery_beat_periodictask (name, task, args, kwargs, interval_id, enabled, total_run_count, date_changed,
    description, one_off, headers) VALUES ('from the admin', 'greet', '["Django"]', '{}', 1, 1, 0, '2026-01-01 00:00:00', '', 0, '{}')`);

const url = `sqlite:///${join(folder, 'broker.db')}`;
const database = `sqlite:///${file}`;
const app = new Celery({ broker: url, backend: url, beatScheduler: 'django', beatDatabase: database });
const greeted = new Set();
let heard = () => {};
app.task('greet', (name) => {
  console.log(`hello ${String(name)}`);
  greeted.add(name);
  heard();
});

const schedules = databaseSchedules(app, database);
await schedules.create({ name: 'from here', task: 'greet', schedule: every('1s'), args: ['TypeScript'] });
await schedules.create({ name: 'nightly', task: 'greet', schedule: crontab('0 3 * * *'), args: ['night'] });

const worker = new Worker(app);
await worker.start();
const stop = new AbortController();
const beat = new Beat(app).run({ signal: stop.signal });
await new Promise((resolve) => (heard = () => void (greeted.size >= 2 && resolve())));
stop.abort();
await beat;
await worker.stop();
await schedules.close();
await app.close();
const rows = django.prepare('SELECT name, total_run_count AS runs FROM django_celery_beat_periodictask').all();
console.log(rows.map(({ name, runs }) => `${name}: ${runs > 0 ? 'ran' : 'waits'}`).join(', '));
django.close();
rmSync(folder, { recursive: true });
process.exitCode = rows.find(({ name }) => name === 'from the admin').runs > 0 ? 0 : 1;
