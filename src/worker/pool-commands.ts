import type { Command, Commanded } from './control-commands.ts';

/* Remote control of the pool (spec: remote-control.md). Replies are Celery's, to the letter. */

type Arguments = Readonly<Record<string, unknown>>;

const ok = (text: string): { ok: string } => ({ ok: text });
const no = (text: string): { error: string } => ({ error: text });

/** What Celery raises reaches the caller as its `repr()`. */
const valueError = (text: string): { error: string } => no(`ValueError('${text}')`);

const count = (args: Arguments, name: string): number | undefined =>
  typeof args[name] === 'number' && Number.isFinite(args[name]) ? args[name] : undefined;

function resize(worker: Commanded, name: 'pool_grow' | 'pool_shrink', args: Arguments): unknown {
  if (worker.autoscaler) return no(`${name} is not supported with autoscale. Adjust autoscale range instead.`);
  const by = (count(args, 'n') ?? 1) * (worker.pool.slotsPerChild ?? 1);
  worker.resize(name === 'pool_grow' ? by : -by);
  return ok(name === 'pool_grow' ? 'pool will grow' : 'pool will shrink');
}

/**
 * Differs: modules that a message names are never loaded, so `modules` and `reloader` are refused; children load the
 * app anew whether `reload` is set or not.
 */
function restart(worker: Commanded, args: Arguments): unknown {
  if (!worker.parts.app.conf.workerPoolRestarts) return valueError('Pool restarts not enabled');
  const { modules, reloader } = args;
  if ((Array.isArray(modules) && modules.length > 0) || (reloader !== null && reloader !== undefined)) {
    return valueError('modules named by a message are not loaded: restart without modules and reloader');
  }
  if (!worker.pool.restart) return valueError(`the ${worker.pool.name} pool has no children to restart`);
  worker.restartPool();
  return ok('reload started');
}

function autoscale({ autoscaler }: Commanded, args: Arguments): unknown {
  if (!autoscaler) return valueError('Autoscale not enabled');
  const [max, min] = autoscaler.update(count(args, 'max'), count(args, 'min'));
  return ok(`autoscale now max=${max} min=${min}`);
}

function timeLimit({ parts }: Commanded, args: Arguments): unknown {
  const name = String(args['task_name']);
  const task = parts.app.tasks.get(name);
  if (!task) {
    parts.log.error({ task: name }, 'time limit attempt for unknown task');
    return no('unknown task');
  }
  const ms = (value: unknown): number | null => (typeof value === 'number' ? value * 1000 : null);
  Object.assign(task.options, { timeLimitMs: ms(args['hard']), softTimeLimitMs: ms(args['soft']) });
  parts.log.info({ task: name, hard: args['hard'], soft: args['soft'] }, 'new time limits');
  return ok('time limits set successfully');
}

export const POOL_COMMANDS: Readonly<Record<string, Command>> = {
  pool_grow: (worker, args) => resize(worker, 'pool_grow', args),
  pool_shrink: (worker, args) => resize(worker, 'pool_shrink', args),
  pool_restart: restart,
  autoscale,
  time_limit: timeLimit,
};
