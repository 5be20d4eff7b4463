import { DecodeError } from '../../errors.ts';
import { Zone } from '../../schedules/zone.ts';

/*
 * Moments as Django keeps them: with an offset in PostgreSQL, without one in MySQL and SQLite; the fraction of a
 * second has six digits, and is left away when it is zero, as Python prints a datetime.
 */

const FORM =
  /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?\s*(?:(Z)|([+-])(\d\d)(?::?(\d\d))?(?::\d\d)?)?$/;

/** Reads and writes the moments of one kind of column. */
export class Moments {
  readonly #zone: Zone;
  readonly #offset: boolean;

  /**
   * @param timezone zone of what is written without an offset
   * @param offset whether offsets are written; without them those that are read do not count
   */
  constructor(timezone: string, offset: boolean) {
    this.#zone = new Zone(timezone);
    this.#offset = offset;
  }

  /**
   * @returns Unix time in milliseconds, with the microseconds as a fraction
   * @throws {DecodeError} for a text that is no moment
   */
  read(text: string): number {
    const match = FORM.exec(text);
    if (!match)
      throw new DecodeError(`expected a moment such as 2026-01-31 09:30:00.250000, got ${JSON.stringify(text)}`);
    const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const fractionMs = Number((match[7] ?? '').padEnd(6, '0')) / 1000;
    const [utc, sign, hours, minutes] = match.slice(8, 12);
    if (!this.#offset || (utc === undefined && sign === undefined)) {
      return this.#zone.instant(year, month, day, hour, minute) + second * 1000 + fractionMs;
    }
    const offsetMs = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * 60_000 * (sign === '-' ? -1 : 1);
    return Date.UTC(year, month - 1, day, hour, minute, second) - offsetMs + fractionMs;
  }

  write(ms: number): string {
    const micros = Math.round(ms * 1000);
    const wholeMs = Math.floor(micros / 1_000_000) * 1000;
    const fraction = micros - wholeMs * 1000;
    const local = new Date(wholeMs + this.#zone.offset(wholeMs)).toISOString().slice(0, 19).replace('T', ' ');
    const digits = fraction === 0 ? '' : `.${String(fraction).padStart(6, '0')}`;
    return `${local}${digits}${this.#offset ? '+00:00' : ''}`;
  }
}
