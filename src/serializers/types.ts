/*
 * Values that JavaScript has no type for but Python tasks take and return. They are frozen, hold their text
 * as it came, and serialize back to exactly that text.
 */

/** Names the wire type of a value object; registered, so that two copies of the library understand each other. */
export const WIRE_TYPE: unique symbol = Symbol.for('celeriac.wireType') as never;

const UUID = /^[\da-f]{8}-?[\da-f]{4}-?[\da-f]{4}-?[\da-f]{4}-?[\da-f]{12}$/i;
const DECIMAL = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|s?nan\d*|inf(?:inity)?)$/i;
const DATE = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$/;
const TIME = /^(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{3}(?:\d{3})?)?)?(?:Z|[+-]\d{2}:?\d{2})?$/;

function hyphenated(text: string): string {
  const hex = text.replaceAll('-', '').toLowerCase();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

abstract class WireValue {
  abstract readonly [WIRE_TYPE]: string;
  /** The value as text, digits and all. */
  readonly text: string;
  constructor(text: string, expected: string, pattern: RegExp, normalize: (text: string) => string = (same) => same) {
    if (typeof text !== 'string' || !pattern.test(text)) {
      const got = typeof text === 'string' ? JSON.stringify(text.slice(0, 64)) : typeof text;
      throw new TypeError(`expected ${expected}, got ${got}`);
    }
    this.text = normalize(text);
  }
  toString(): string {
    return this.text;
  }
  toJSON(): string {
    return this.text;
  }
}

/** Python's `uuid.UUID`. */
export class Uuid extends WireValue {
  readonly [WIRE_TYPE] = 'uuid';
  /** @param text 32 hexadecimal digits, with or without hyphens */
  constructor(text: string) {
    super(text, 'a UUID of 32 hexadecimal digits', UUID, hyphenated);
    Object.freeze(this);
  }
  /** 32 hexadecimal digits without hyphens. */
  get hex(): string {
    return this.text.replaceAll('-', '');
  }
}

/** Python's `decimal.Decimal`: digits are kept as they are, `"1.10"` does not become `1.1`. */
export class Decimal extends WireValue {
  readonly [WIRE_TYPE] = 'decimal';
  constructor(text: string) {
    super(text, 'a decimal number such as "1.50"', DECIMAL);
    Object.freeze(this);
  }
  /** The nearest double; loses digits beyond the 16th or so. */
  toNumber(): number {
    return Number(this.text.replace(/^([+-]?)inf(?:inity)?$/i, '$1Infinity'));
  }
}

/** Python's `datetime.date`: a day without a time or a zone, `"2026-03-04"`. */
export class PlainDate extends WireValue {
  readonly [WIRE_TYPE] = 'date';
  constructor(text: string) {
    super(text, 'a date such as "2026-03-04"', DATE);
    Object.freeze(this);
  }
}

/** Python's `datetime.time`: a time of day, `"05:06:07.000008"`, with an offset where it has one. */
export class PlainTime extends WireValue {
  readonly [WIRE_TYPE] = 'time';
  constructor(text: string) {
    super(text, 'a time of day such as "05:06:07.000008"', TIME);
    Object.freeze(this);
  }
}

/** A value that names its wire type and is its text. */
export interface TypedText {
  readonly [WIRE_TYPE]: string;
  readonly text: string;
}

/** Also true for values made by another copy of the library. */
export function isTypedText(value: object): value is TypedText {
  return WIRE_TYPE in value;
}
