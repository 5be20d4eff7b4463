import type { PeriodicTask } from '../../app/periodic.ts';
import { callDict } from '../../canvas/dict.ts';
import { parseIso } from '../../protocol/time.ts';
import { Crontab } from '../../schedules/crontab.ts';
import { Interval } from '../../schedules/interval.ts';
import type { NewEntry } from './schedules.ts';

/** What Celery's database scheduler installs where results expire, whatever the backend. */
export const CLEANUP: PeriodicTask = {
  name: 'celery.backend_cleanup',
  schedule: new Crontab({ minute: '0', hour: '4' }),
  call: () => callDict('celery.backend_cleanup', [], { options: { expires: 12 * 3600 } }),
};

const COLUMNS: readonly string[] = [
  'queue',
  'exchange',
  'routing_key',
  'priority',
  'headers',
  'expires',
  'expire_seconds',
];

const POLICIES = ['overlap', 'overlapLimitMs', 'jitterMs', 'catchUpMs'] as const;

/** An entry of settings or app as a row, and what of it has no column. */
export interface ConfiguredEntry {
  readonly entry: NewEntry;
  readonly dropped: readonly string[];
}

/**
 * What the row has besides (enabled, description, …) is Django's. Source: `ModelEntry._unpack_fields`.
 * Differs: the option `expires` is kept, where Celery's scheduler forgets it.
 */
export function configuredEntry(periodic: PeriodicTask): ConfiguredEntry {
  const { name, call, paused, startMs, endMs, maxRuns } = periodic;
  const { task, args, kwargs, options } = call();
  const { queue, exchange, routing_key, priority, headers, expires, expire_seconds } = options as Record<string, never>;
  const seconds = typeof expires === 'number' ? expires : (expire_seconds ?? null);
  const expiry = typeof expires === 'string' ? parseIso(expires) : endMs;
  const aligned = periodic.schedule instanceof Interval && periodic.schedule.relative;
  const entry: NewEntry = {
    name,
    task,
    schedule: aligned ? new Interval((periodic.schedule as Interval).everyMs) : periodic.schedule,
    args,
    kwargs,
    queue: queue ?? null,
    exchange: exchange ?? null,
    routingKey: routing_key ?? null,
    priority: priority ?? null,
    headers: headers ?? {},
    expireSeconds: seconds,
    ...(expiry !== undefined && { expires: new Date(expiry) }),
    ...(startMs !== undefined && { startTime: new Date(startMs) }),
    ...(maxRuns === 1 && { oneOff: true }),
    ...(paused !== undefined && { enabled: !paused }),
  };
  const dropped = Object.keys(options).filter((option) => !COLUMNS.includes(option));
  for (const policy of POLICIES) if (periodic[policy] !== undefined) dropped.push(policy);
  if (aligned) dropped.push('relative');
  if (maxRuns !== undefined && maxRuns !== 1) dropped.push('maxRuns');
  return { entry, dropped };
}
