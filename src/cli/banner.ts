import type { Celery } from '../app/celery.ts';
import { rank } from './logging/levels.ts';
import type { LogLevel } from '../runtime/logger.ts';
import { VERSION } from '../version.ts';
import type { Worker } from '../worker/index.ts';
import type { Session } from './session.ts';

/** More names than this are counted instead of listed. */
const MOST_TASKS = 40;

/** What a worker says about itself before it begins. Addresses without passwords. */
export async function banner(
  session: Session,
  app: Celery,
  worker: Worker,
  flags: { readonly loglevel: LogLevel; readonly taskEvents?: boolean; readonly events?: boolean },
): Promise<string> {
  const { paint } = session;
  const [transport, backend] = await Promise.all([app.transport(), app.backend()]);
  const { preset, workerSendTaskEvents } = app.conf;
  const events = flags.taskEvents ?? flags.events ?? workerSendTaskEvents;
  const tasks = app.tasks.names().filter((name) => !name.startsWith('celery.'));
  const rows: readonly (readonly [string, string])[] = [
    ['app', app.main],
    ['broker', transport.displayUrl],
    ['results', backend.displayUrl],
    ['pool', `${worker.pool.name}, ${worker.pool.size} at a time`],
    [
      'preset',
      preset === 'safe' ? 'safe: acknowledged after the run, nothing is lost' : `${preset}: Celery's defaults`,
    ],
    ['events', events ? 'on' : 'off (-E to let monitors watch tasks)'],
    ['queues', worker.queues.map(({ name }) => name).join(', ')],
  ];
  const lines = [
    '',
    ` ${paint.strong(worker.hostname)} ${paint.faint(`celeriac ${VERSION} · node ${process.versions.node} · pid ${process.pid}`)}`,
    '',
    ...rows.map(([name, value]) => ` - ${`${name}:`.padEnd(9)} ${paint.name(value)}`),
  ];
  if (rank(flags.loglevel) <= rank('info')) {
    lines.push(
      '',
      tasks.length === 0 ? ' no tasks of its own: does the app import the files that define them?' : ' tasks:',
    );
    lines.push(...tasks.slice(0, MOST_TASKS).map((name) => `  . ${name}`));
    if (tasks.length > MOST_TASKS) lines.push(`  … and ${tasks.length - MOST_TASKS} more`);
  }
  return [...lines, ''].join('\n');
}
