import type { Celery } from '../app/celery.ts';
import { parseAppSpec } from '../app/module-loader.ts';
import type { ConsumerScope, Step, StepSource } from '../app/steps.ts';
import { isPoolModule, poolFrom } from '../pools/custom.ts';
import type { PoolFactory } from '../pools/names.ts';
import type { AutoscalePolicy } from '../worker/autoscale.ts';
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

/**
 * How `--autoscale` decides: the setting `workerAutoscaler` is `load`, `latency`, or a module and its export,
 * `./scale.ts:policy`. Celery's own class is `load`.
 */
export async function autoscalePolicy(session: Session, app: Celery): Promise<'load' | 'latency' | AutoscalePolicy> {
  const spec = app.conf.workerAutoscaler;
  if (spec === 'load' || spec === 'celery.worker.autoscale:Autoscaler') return 'load';
  if (spec === 'latency') return spec;
  const { module, exportName } = parseAppSpec(spec);
  const exports = await session.loader.import(session.loader.resolve(module));
  const policy = exports[exportName ?? 'default'];
  if (typeof policy === 'function') return policy as AutoscalePolicy;
  throw new CommandError(`workerAutoscaler: ${spec} is no function`, {
    exitCode: EXIT.usage,
    hint: 'Expected load, latency, or a module and its export such as ./scale.ts:policy, a function (load) => children',
  });
}

/**
 * What begins anew with each connection to the broker: the setting `workerAgent`, a module and its export, `./agent.ts:Agent`.
 * That is a step, a function that makes one, or a class of one. Source: `Agent` of celery.worker.consumer.agent.
 */
export async function addAgent(session: Session, app: Celery): Promise<void> {
  const spec = app.conf.workerAgent;
  if (spec === null) return;
  const { module, exportName } = parseAppSpec(spec);
  const exports = await session.loader.import(session.loader.resolve(module));
  const agent = exports[exportName ?? 'default'];
  const isClass = typeof agent === 'function' && typeof (agent.prototype as Agent | undefined)?.start === 'function';
  const source = isClass ? () => new (agent as new () => Agent)() : agent;
  if (typeof source === 'function' || typeof (source as Agent | undefined)?.start === 'function') {
    return app.steps.consumer.add(source as StepSource<ConsumerScope>);
  }
  throw new CommandError(`workerAgent: ${spec} is no step`, {
    exitCode: EXIT.usage,
    hint: 'Expected a module and its export such as ./agent.ts:Agent: an object with name and start, or its class',
  });
}

type Agent = Step<ConsumerScope>;
