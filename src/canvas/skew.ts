import { UsageError } from '../errors.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { isGroup, listOf, tasksOf, withOptions } from './dict.ts';

/** Countdowns of a group's members. */
export interface SkewOptions {
  /** @default '1s' */
  readonly start?: Duration;
  /** Not reached; members beyond it have the last countdown below. @default no limit */
  readonly stop?: Duration;
  /** @default '1s' */
  readonly step?: Duration;
}

/** Gives each member of a group a later countdown than the one before. Source: `group.skew`. */
export function skewed(dict: SignatureDict, options: SkewOptions): SignatureDict {
  if (!isGroup(dict)) throw new UsageError(`skew: expected a group, got ${dict.task}`);
  const start = durationMs(options.start ?? 1000);
  const step = durationMs(options.step ?? 1000);
  const stop = options.stop === undefined ? Infinity : durationMs(options.stop);
  let next = start;
  const tasks = tasksOf(dict).map((task) => {
    const countdown = next / 1000;
    if (next + step < stop) next += step;
    return withOptions(task, { countdown });
  });
  return { ...dict, kwargs: { ...dict.kwargs, tasks } };
}

/** The signature, what it calls on success, what that calls, and so on. */
export function flatLinks(dict: SignatureDict): SignatureDict[] {
  return [dict, ...listOf(dict.options['link']).flatMap(flatLinks)];
}
