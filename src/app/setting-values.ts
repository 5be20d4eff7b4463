import { ImproperlyConfigured } from '../errors.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';
import { checkAnnotations } from './annotations.ts';
import { checkQueues } from './queue-definitions.ts';
import { checkRoutes } from './router.ts';
import type { Setting, SettingType } from './setting.ts';

/** The value as the config keeps it, or undefined when it is not one of these. */
type Read = (value: unknown, setting: Setting<unknown>) => unknown;

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((one) => typeof one === 'string');
const number: Read = (value) => (typeof value === 'number' && !Number.isNaN(value) ? value : undefined);

const seconds: Read = (value) => {
  if (typeof value !== 'string') return number(value, {} as Setting<unknown>);
  try {
    return durationMs(value as Duration) / 1000;
  } catch {
    return undefined;
  }
};

const timezone: Read = (value) => {
  if (typeof value !== 'string') return undefined;
  try {
    new Intl.DateTimeFormat('en', { timeZone: value });
    return value;
  } catch {
    return undefined;
  }
};

const DELIVERY_MODES: ReadonlyMap<unknown, 1 | 2> = new Map<unknown, 1 | 2>([
  [1, 1],
  [2, 2],
  ['transient', 1],
  ['persistent', 2],
]);

const TYPES: Readonly<Record<SettingType, { readonly expected: string; readonly read: Read }>> = {
  any: { expected: 'any value', read: (value) => value },
  bool: { expected: 'true or false', read: (value) => (typeof value === 'boolean' ? value : undefined) },
  boolOrObject: {
    expected: 'true, false or an object of options',
    read: (value) => (typeof value === 'boolean' || isObject(value) ? value : undefined),
  },
  count: {
    expected: 'a whole number of at least 0',
    read: (value) => (value === Infinity || (Number.isSafeInteger(value) && Number(value) >= 0) ? value : undefined),
  },
  int: { expected: 'a whole number', read: (value) => (Number.isSafeInteger(value) ? value : undefined) },
  number: { expected: 'a number', read: number },
  seconds: { expected: "a number of seconds or a text such as '30s'", read: seconds },
  text: { expected: 'a text', read: (value) => (typeof value === 'string' ? value : undefined) },
  timezone: { expected: "the name of a time zone such as 'Europe/Paris'", read: timezone },
  list: { expected: 'a list of texts', read: (value) => (isTexts(value) ? value : undefined) },
  object: { expected: 'an object', read: (value) => (isObject(value) ? value : undefined) },
  oneOf: { expected: 'one of', read: (value, { values }) => (values?.includes(value) ? value : undefined) },
  urls: {
    expected: 'a URL or a list of URLs',
    read: (value) => (typeof value === 'string' || isTexts(value) ? value : undefined),
  },
  user: {
    expected: 'a name or a number',
    read: (value) => (typeof value === 'string' || Number.isSafeInteger(value) ? value : undefined),
  },
  rate: {
    expected: "a number of tasks per second or a text such as '10/m'",
    read: (value) =>
      typeof value === 'string'
        ? /^\d+(?:\.\d+)?(?:\/[smh])?$/.test(value)
          ? value
          : undefined
        : number(value, {} as Setting<unknown>),
  },
  deliveryMode: { expected: "2 ('persistent') or 1 ('transient')", read: (value) => DELIVERY_MODES.get(value) },
  strategy: {
    expected: "'round-robin', 'shuffle' or a function",
    read: (value) =>
      value === 'round-robin' || value === 'shuffle' || typeof value === 'function' ? value : undefined,
  },
  routes: { expected: 'routes', read: (value) => checkRoutes(value) },
  queues: { expected: 'queues', read: (value) => checkQueues(value) },
  annotations: { expected: 'annotations', read: (value) => checkAnnotations(value) },
};

/** What came, for an error: its value where that is short, and its type. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return `an object (${value.constructor?.name ?? 'Object'})`;
  if (typeof value === 'string') return `${JSON.stringify(value.slice(0, 40))} (string)`;
  return `${String(value as number | bigint | boolean | symbol)} (${typeof value})`;
}

/**
 * A value as the config keeps it: checked, `'30s'` as 30.
 * @throws {ImproperlyConfigured} says which setting, what was expected and what came
 */
export function readValue(name: string, setting: Setting<unknown>, value: unknown): unknown {
  if (value === null && setting.nullable) return null;
  const { expected, read } = TYPES[setting.type];
  const result = read(value, setting);
  if (result !== undefined) return result;
  const values = setting.values?.map((one) => JSON.stringify(one)).join(', ');
  const all = [expected, values].filter(Boolean).join(' ') + (setting.nullable ? ' or null' : '');
  throw new ImproperlyConfigured(
    `setting "${name}": expected ${all}, got ${setting.secret ? `a ${typeof value}` : describeValue(value)}`,
  );
}
