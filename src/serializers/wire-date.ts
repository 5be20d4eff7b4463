import { DecodeError, EncodeError } from '../errors.ts';
import { isoParts, toIso } from '../protocol/time.ts';

/*
 * A `Date` has neither Python's microseconds, nor its offset, nor its naive times. A date that came from the wire
 * remembers its text, so that passing it on unchanged loses none of these.
 */

const SOURCE: unique symbol = Symbol.for('celeriac.dateSource') as never;

interface SourcedDate extends Date {
  [SOURCE]?: { readonly text: string; readonly ms: number };
}

/**
 * A tagged `datetime`. Without an offset it is read as UTC.
 * @throws {DecodeError} when it is no ISO 8601 time
 */
export function dateFromWire(text: unknown): Date {
  const parts = typeof text === 'string' ? isoParts(text) : undefined;
  if (!parts) throw new DecodeError(`expected an ISO 8601 datetime, got ${JSON.stringify(text)?.slice(0, 80)}`);
  const date: SourcedDate = new Date(Math.floor(parts.ms));
  if (parts.offset !== 0 || parts.micros % 1000 !== 0) {
    Object.defineProperty(date, SOURCE, { value: { text, ms: date.getTime() } });
  }
  return date;
}

/**
 * Text of a date for the wire: the one it came with while it still says the same, else UTC with `+00:00`.
 * @throws {EncodeError} for an invalid date, and for years that Python does not have
 */
export function dateToWire(date: Date): string {
  const ms = date.getTime();
  const source = (date as SourcedDate)[SOURCE];
  if (source !== undefined && source.ms === ms) return source.text;
  if (Number.isNaN(ms)) throw new EncodeError('expected a valid Date, got an invalid one');
  try {
    return toIso(ms);
  } catch (cause) {
    throw new EncodeError((cause as Error).message, { cause });
  }
}
