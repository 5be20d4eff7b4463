import { UsageError } from '../errors.ts';

/** `'*'`, `'1,13,30-45/5'`, a number, or numbers. */
export type CrontabValue = string | number | readonly number[] | ReadonlySet<number>;

export interface CrontabField {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Three-letter names and their numbers. */
  readonly names?: readonly (readonly [string, number])[];
}

const numbered = (first: number, ...names: readonly string[]): (readonly [string, number])[] =>
  names.map((name, i) => [name, first + i] as const);

export const MINUTE: CrontabField = { name: 'minute', min: 0, max: 59 };
export const HOUR: CrontabField = { name: 'hour', min: 0, max: 23 };
export const DAY_OF_WEEK: CrontabField = {
  name: 'dayOfWeek',
  min: 0,
  max: 6,
  names: numbered(0, 'sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'),
};
export const DAY_OF_MONTH: CrontabField = { name: 'dayOfMonth', min: 1, max: 31 };
export const MONTH_OF_YEAR: CrontabField = {
  name: 'monthOfYear',
  min: 1,
  max: 12,
  names: numbered(1, 'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'),
};

/**
 * The numbers that a field allows. Ranges may wrap around (`fri-mon`), a step needs `*` or a range in front of it.
 * Source: `celery.schedules.crontab_parser`.
 */
export function parseField(field: CrontabField, value: CrontabValue): ReadonlySet<number> {
  const numbers =
    typeof value === 'string' ? parseText(field, value) : typeof value === 'number' ? [value] : [...value];
  for (const one of numbers) {
    if (!Number.isInteger(one) || one < field.min || one > field.max) {
      throw refuse(field, value, `${one} is not a whole number from ${field.min} to ${field.max}`);
    }
  }
  if (numbers.length === 0) throw refuse(field, value, 'it is empty');
  return new Set(numbers);
}

function parseText(field: CrontabField, text: string): number[] {
  return text.split(',').flatMap((part) => parsePart(field, text, part));
}

function parsePart(field: CrontabField, text: string, part: string): number[] {
  const match = /^\s*(?:(\*)|(\w+)(?:-(\w+))?)(?:\/(\d+))?\s*$/.exec(part);
  const [, star, from, to, step] = match ?? [];
  if (match === null || (step !== undefined && star === undefined && to === undefined)) {
    throw refuse(field, text, `${JSON.stringify(part)} is none of *, */n, a, a-b, a-b/n`);
  }
  const stride = step === undefined ? 1 : Number(step);
  if (stride === 0) throw refuse(field, text, 'a step is at least 1');
  const all = star !== undefined ? span(field, field.min, field.max) : range(field, text, from as string, to);
  return all.filter((_, i) => i % stride === 0);
}

function range(field: CrontabField, text: string, from: string, to: string | undefined): number[] {
  const first = numberOf(field, text, from);
  return to === undefined ? [first] : span(field, first, numberOf(field, text, to));
}

function numberOf(field: CrontabField, text: string, word: string): number {
  const named = field.names?.find(([name]) => name === word.slice(0, 3).toLowerCase())?.[1];
  const number = /^\d+$/.test(word) ? Number(word) : named;
  if (number === undefined) throw refuse(field, text, `${JSON.stringify(word)} is neither a number nor a known name`);
  if (number < field.min || number > field.max) {
    throw refuse(field, text, `${number} is outside of ${field.min} to ${field.max}`);
  }
  return number;
}

/** From one number up to another, through the end of the field where the second is lower. */
function span({ min, max }: CrontabField, from: number, to: number): number[] {
  const size = max - min + 1;
  const length = ((to - from + size) % size) + 1;
  return Array.from({ length }, (_, i) => min + ((from - min + i) % size));
}

function refuse(field: CrontabField, value: CrontabValue, why: string): UsageError {
  const shown = typeof value === 'object' ? [...value].join(',') : String(value);
  return new UsageError(`crontab ${field.name} ${JSON.stringify(shown)}: ${why}`);
}
