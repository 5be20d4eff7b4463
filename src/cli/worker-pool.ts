import type { Celery } from '../app/celery.ts';
import { parseAppSpec } from '../app/module-loader.ts';
import { isPoolModule, poolFrom } from '../pools/custom.ts';
import type { PoolFactory } from '../pools/names.ts';
import { CommandError, EXIT } from './exit.ts';
import type { Session } from './session.ts';

/** A pool of the project's own. Source: `get_implementation` of celery.concurrency, `CELERY_CUSTOM_WORKER_POOL`. */
export async function poolOf(
  session: Session,
  app: Celery,
  asked: string | undefined,
): Promise<string | PoolFactory | undefined> {
  const name = asked ?? app.conf.workerPool;
  const spec = name === 'custom' ? (session.io.env['CELERY_CUSTOM_WORKER_POOL'] ?? '') : name;
  if (spec === '') {
    throw new CommandError('pool custom: nothing says where it is', {
      exitCode: EXIT.usage,
      hint: 'Set CELERY_CUSTOM_WORKER_POOL to its module, such as ./pool.ts:MyPool',
    });
  }
  if (!isPoolModule(spec)) return asked;
  const { module, exportName } = parseAppSpec(spec);
  return poolFrom(await session.loader.import(session.loader.resolve(module)), exportName, spec);
}
