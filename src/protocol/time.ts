import { InvalidTaskError } from '../errors.ts';

/*
 * Time on the wire: seconds (numbers) and ISO 8601 as Python's `isoformat()` writes it (spec: messages.md 7).
 * Inside the library: Unix time in milliseconds; fractions are microseconds.
 */

const ISO =
  /^(\d{4})(-?)(\d{2})\2(\d{2})(?:[^\d](\d{2})(?:(:?)(\d{2})(?:\6(\d{2})(?:[.,](\d+))?)?)?(Z|z|[+-]\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d+)?)?)?)?)?$/;
const FIRST_YEAR_MS = -62_135_596_800_000;
const LAST_YEAR_MS = 253_402_300_799_000;

/** One ISO 8601 time, taken apart. */
export interface IsoParts {
  /** Unix time in milliseconds, fractions are microseconds; a text without an offset is taken as UTC. */
  readonly ms: number;
  /** Seconds east of UTC, or null where the text has no offset (Python's naive datetime). */
  readonly offset: number | null;
  /** Microseconds of the second, 0 to 999999. */
  readonly micros: number;
}

function offsetSeconds(zone: string): number {
  if (zone === 'Z' || zone === 'z') return 0;
  const digits = zone.slice(1).replaceAll(':', '');
  const seconds =
    Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2, 4) || 0) * 60 + Number(digits.slice(4, 6) || 0);
  return zone.startsWith('-') ? -seconds : seconds;
}

/** Undefined when the text is no ISO 8601 calendar date or time. */
export function isoParts(text: string): IsoParts | undefined {
  const match = ISO.exec(text);
  if (!match) return undefined;
  const [, year, , month, day, hour = '0', , minute = '0', second = '0', fraction = '', zone] = match;
  const wallMs = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  const wall = new Date(wallMs);
  if (Number(year) < 100) wall.setUTCFullYear(Number(year));
  const fits =
    wall.getUTCMonth() === Number(month) - 1 &&
    wall.getUTCDate() === Number(day) &&
    Number(year) > 0 &&
    Number(hour) < 24 &&
    Number(minute) < 60 &&
    Number(second) < 60;
  if (!fits) return undefined;
  const micros = Number(fraction.slice(0, 6).padEnd(6, '0'));
  const offset = zone === undefined ? null : offsetSeconds(zone);
  if (offset !== null && Math.abs(offset) >= 86_400) return undefined;
  return { ms: wall.getTime() - (offset ?? 0) * 1000 + micros / 1000, offset, micros };
}

/**
 * Unix time in milliseconds of an ISO 8601 text; without an offset it is UTC.
 * @throws {InvalidTaskError} for anything else, numbers included
 */
export function parseIso(text: unknown): number {
  const parts = typeof text === 'string' ? isoParts(text) : undefined;
  if (!parts) {
    throw new InvalidTaskError(
      `expected an ISO 8601 time such as "2026-01-31T12:00:00+00:00", got ${typeof text === 'string' ? JSON.stringify(text.slice(0, 64)) : typeof text}`,
    );
  }
  return parts.ms;
}

function twoDigits(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

function offsetText(offsetMs: number): string {
  const minutes = Math.abs(Math.round(offsetMs / 60_000));
  return `${offsetMs < 0 ? '-' : '+'}${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}`;
}

function format(ms: number, offsetMs: number): string {
  // Only the fraction is rounded, to microseconds: flooring a double such as 1795326384561.769 would lose one.
  const fractionMicros = Math.round((ms - Math.floor(ms)) * 1000);
  const roundedMs = Math.floor(ms) + (fractionMicros === 1000 ? 1 : 0);
  const wholeMs = Math.floor(roundedMs / 1000) * 1000;
  if (!(wholeMs >= FIRST_YEAR_MS && wholeMs <= LAST_YEAR_MS)) {
    throw new RangeError(`expected a time between the years 1 and 9999, got ${ms} ms since 1970`);
  }
  const fraction = (roundedMs - wholeMs) * 1000 + (fractionMicros % 1000);
  const wall = new Date(wholeMs + offsetMs).toISOString().slice(0, 19);
  return `${wall}${fraction === 0 ? '' : `.${String(fraction).padStart(6, '0')}`}${offsetText(offsetMs)}`;
}

/** Milliseconds east of UTC that a zone has at a moment. */
function zoneOffsetMs(formatter: Intl.DateTimeFormat, ms: number): number {
  const name = formatter.formatToParts(ms).find((part) => part.type === 'timeZoneName')?.value ?? 'GMT';
  const match = /^GMT([+-])(\d{2}):(\d{2})/.exec(name);
  if (!match) return 0;
  const minutes = Number(match[2]) * 60 + Number(match[3]);
  return (match[1] === '-' ? -minutes : minutes) * 60_000;
}

/**
 * A writer of times in one zone; keep it, because asking for a zone is slow.
 * @param timezone IANA name such as `Europe/Paris`; null, undefined and `UTC` write `+00:00`
 * @throws {RangeError} when the runtime does not know the zone
 */
export function isoWriter(timezone?: string | null): (ms: number) => string {
  if (timezone === undefined || timezone === null || timezone.toUpperCase() === 'UTC') return (ms) => format(ms, 0);
  const formatter = new Intl.DateTimeFormat('en-US', { timeZone: timezone, timeZoneName: 'longOffset' });
  return (ms) => format(ms, zoneOffsetMs(formatter, ms));
}

/** Python's `isoformat()` of a moment: microseconds only where there are some, always with an offset. */
export function toIso(ms: number, timezone?: string | null): string {
  return timezone === undefined || timezone === null ? format(ms, 0) : isoWriter(timezone)(ms);
}
