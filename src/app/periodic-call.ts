import type { CallOptions, Instant } from '../canvas/call-options.ts';
import type { AnySignature } from '../canvas/types.ts';
import { instantText } from '../canvas/wire-options.ts';
import { argsRepr, kwargsRepr } from '../protocol/safe-repr.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import type { Schedule } from '../schedules/schedule.ts';
import { policyOf, type PeriodicTask } from './periodic.ts';

/** Options of each run, and what counts besides the schedule (`PeriodicPolicy`). */
export interface PeriodicOptions extends CallOptions {
  /** @default false */
  readonly paused?: boolean;
  /** Not before; not after. */
  readonly start?: Instant;
  readonly end?: Instant;
  readonly maxRuns?: number;
  /** @default 'allow' */
  readonly overlap?: 'allow' | 'skip' | 'wait';
  /** @default '1h' */
  readonly overlapLimit?: Duration;
  readonly jitter?: Duration;
  readonly catchUp?: Duration;
}

type Lazy = AnySignature | (() => AnySignature);
export type PeriodicArguments =
  | [name: string, schedule: Schedule, signature: Lazy, options?: PeriodicOptions]
  | [schedule: Schedule, signature: AnySignature, options?: PeriodicOptions];

/** What `app.addPeriodicTask` was given, as an entry. */
export function periodicCall(...given: PeriodicArguments): PeriodicTask {
  if (typeof given[0] !== 'string') {
    const [schedule, signature, options] = given as Extract<PeriodicArguments, [Schedule, ...unknown[]]>;
    return entry(nameOf(signature.toJSON()), schedule, signature, options);
  }
  return entry(...(given as Extract<PeriodicArguments, [string, ...unknown[]]>));
}

function entry(name: string, schedule: Schedule, signature: Lazy, options: PeriodicOptions = {}): PeriodicTask {
  const { paused, start, end, maxRuns, overlap, overlapLimit, jitter, catchUp, ...call } = options;
  const withCall = (one: AnySignature): SignatureDict =>
    (Object.keys(call).length === 0 ? one : (one as Settable).set(call)).toJSON();
  const policy = policyOf(name, {
    ...(paused !== undefined && { paused }),
    ...(start !== undefined && { start: instantText(start, 'start') }),
    ...(end !== undefined && { end: instantText(end, 'end') }),
    ...(maxRuns !== undefined && { maxRuns }),
    ...(overlap !== undefined && { overlap }),
    ...(overlapLimit !== undefined && { overlapLimit: seconds(overlapLimit) }),
    ...(jitter !== undefined && { jitter: seconds(jitter) }),
    ...(catchUp !== undefined && { catchUp: seconds(catchUp) }),
  });
  if (typeof signature === 'function') return { name, schedule, call: () => withCall(signature()), ...policy };
  const dict = withCall(signature);
  return { name, schedule, call: () => dict, ...policy };
}

type Settable = AnySignature & { set(options: CallOptions): AnySignature };

const seconds = (duration: Duration): number => durationMs(duration) / 1000;

/** Source: `Signature.__repr__`. */
function nameOf({ task, args, kwargs }: SignatureDict): string {
  const positional = argsRepr(args).replace(/^\(|,?\)$/g, '');
  const named = Object.keys(kwargs).map(
    (key) => `${key}=${kwargsRepr({ key: kwargs[key] }).slice("{'key': ".length, -1)}`,
  );
  return `${task}(${[positional, ...named].filter((text) => text !== '').join(', ')})`;
}
