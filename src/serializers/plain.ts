import { EncodeError } from '../errors.ts';

/** Values of a format beyond texts, numbers, lists and objects: returns what the format's library takes, or undefined. */
export type Special = (value: object | number | bigint) => unknown;

/** Python's encoders stop here too. */
const DEEPEST = 500;

/**
 * A copy of a value in the terms of a format's library.
 * @throws {EncodeError} with the path (`$` is the value itself) of undefined, functions, symbols, instances of classes
 *   that the format does not know, and whatever contains itself
 */
export function plainCopy(value: unknown, format: string, special: Special, path = '$', depth = 0): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
    case 'bigint':
      return special(value) ?? value;
    case 'object':
      break;
    default:
      throw refuse(format, path, `a value of type ${typeof value}`);
  }
  if (value === null) return null;
  if (depth > DEEPEST) throw refuse(format, path, `more than ${DEEPEST} levels, or a value that contains itself`);
  if (Array.isArray(value)) {
    return Array.from(value, (one: unknown, i) => plainCopy(one, format, special, `${path}[${i}]`, depth + 1));
  }
  const known = special(value);
  if (known !== undefined) return known;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw refuse(format, path, `an instance of ${value.constructor?.name ?? 'a class'}`);
  }
  const entries = Object.entries(value).map(
    ([key, one]) => [key, plainCopy(one, format, special, `${path}.${key}`, depth + 1)] as const,
  );
  return Object.fromEntries(entries);
}

function refuse(format: string, path: string, what: string): EncodeError {
  return new EncodeError(`cannot serialize as ${format}: ${path} is ${what}`);
}
