import type { Celery } from '../app/celery.ts';
import { configuredTasks, type PeriodicTask } from '../app/periodic.ts';
import { callDict } from '../canvas/dict.ts';
import { Crontab } from '../schedules/crontab.ts';

const CLEANUP = 'celery.backend_cleanup';
const CLEANUP_EXPIRES_S = 12 * 3600;

/** Entries of settings and app, the app's own win; and the nightly cleanup where the result backend needs it. */
export async function configuredEntries(app: Celery): Promise<PeriodicTask[]> {
  const { conf, periodicTasks } = app;
  const tasks = new Map(configuredTasks(conf.beatSchedule).map((task) => [task.name, task]));
  for (const [name, task] of periodicTasks) tasks.set(name, task);
  if (conf.resultExpires !== null && !tasks.has(CLEANUP)) {
    const { capabilities } = await app.backend();
    const call = () => callDict(CLEANUP, [], { options: { expires: CLEANUP_EXPIRES_S } });
    const schedule = new Crontab({ minute: 0, hour: 4 });
    if (capabilities.expiry === 'sweep') tasks.set(CLEANUP, { name: CLEANUP, schedule, call });
  }
  return [...tasks.values()];
}
