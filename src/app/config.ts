import type { Setting } from './setting.ts';
import { normaliseNames } from './setting-names.ts';
import { readValue } from './setting-values.ts';
import { EMBEDDED_URL, SAFE_PRESET } from './presets.ts';
import { SETTING_NAMES, SETTINGS, type Config, type SettingName } from './settings.ts';
import { maskUrl } from '../runtime/mask-url.ts';

export type { Config, ConfigInput, SettingName } from './settings.ts';
export { SETTINGS } from './settings.ts';

/** Environment variables; the application hands in its own. */
export type Environment = Readonly<Record<string, string | undefined>>;

type Values = Map<SettingName, unknown>;

export interface ResolveOptions {
  /** Keys are `<namespace>_<NAME>` and all others are somebody else's. @default none: keys are names */
  readonly namespace?: string | null | undefined;
}

/**
 * The whole configuration: defaults, then what is given, then the environment. Names may be spelled as in
 * `setting-names.ts`, times as `'30s'`.
 * @param env overrides `CELERY_BROKER_URL`, `CELERY_BROKER_READ_URL`, `CELERY_BROKER_WRITE_URL`, `CELERY_RESULT_BACKEND`
 * @returns frozen through and through; containers of the input are copied, instances and functions kept
 * @throws {ImproperlyConfigured} for names nobody knows and for values of the wrong type
 *
 * @example
 * resolveConfig({ broker_url: 'redis://localhost', resultExpires: '2h' }).resultExpires; // 7200
 */
export function resolveConfig(input: object, env: Environment = {}, options: ResolveOptions = {}): Config {
  return buildConfig([normaliseNames(input, options.namespace)], env);
}

/** The configuration of layers whose names are already normal; later layers win. */
export function buildConfig(layers: readonly ReadonlyMap<SettingName, unknown>[], env: Environment): Config {
  const given: Values = new Map();
  for (const layer of layers) for (const [name, value] of layer) given.set(name, value);
  for (const name of SETTING_NAMES) {
    const override = SETTINGS[name].env === undefined ? undefined : env[SETTINGS[name].env];
    if (override) given.set(name, override); // empty counts as unset, as in Celery
  }
  for (const [name, value] of given) given.set(name, readValue(name, SETTINGS[name] as Setting<unknown>, value));
  const defaults = defaultsFor((given.get('preset') as Config['preset'] | undefined) ?? 'safe', given);
  return frozenCopy(
    Object.fromEntries(SETTING_NAMES.map((name) => [name, given.has(name) ? given.get(name) : defaults[name]])),
  ) as unknown as Config;
}

const PLACES: readonly SettingName[] = [
  'brokerUrl',
  'brokerReadUrl',
  'brokerWriteUrl',
  'brokerTransport',
  'brokerHost',
];

/** Defaults of a preset. Where no broker is named at all, `safe` uses the embedded one for messages and results. */
function defaultsFor(preset: Config['preset'], given: Values): Readonly<Record<string, unknown>> {
  const celery = Object.fromEntries(SETTING_NAMES.map((name) => [name, SETTINGS[name].default as unknown]));
  if (preset === 'celery') return { ...celery, preset };
  const embedded = PLACES.every((name) => (given.get(name) ?? null) === null);
  return { ...celery, ...SAFE_PRESET, ...(embedded && { brokerUrl: EMBEDDED_URL, resultBackend: EMBEDDED_URL }) };
}

const isPlain = (value: object): boolean => {
  const prototype = Object.getPrototypeOf(value) as unknown;
  return prototype === Object.prototype || prototype === null;
};

/** A frozen copy of plain objects and lists, all the way down; everything else is kept as it is. */
function frozenCopy(value: unknown, seen: Map<object, unknown> = new Map()): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const list = Array.isArray(value);
  if (!list && !isPlain(value)) return value;
  const known = seen.get(value);
  if (known !== undefined) return known;
  const copy: unknown[] | Record<string, unknown> = list ? [] : {};
  seen.set(value, copy);
  for (const [key, one] of Object.entries(value)) {
    Object.defineProperty(copy, key, { value: frozenCopy(one, seen), enumerable: true });
  }
  return Object.freeze(copy);
}

/** A setting that is not what Celery 5.6 has by default. */
export interface ConfigDifference {
  readonly name: SettingName;
  readonly celery: unknown;
  /** Secrets are masked. */
  readonly here: unknown;
}

/** Where a configuration parts from the defaults of Celery 5.6. */
export function configDifferences(config: Config): ConfigDifference[] {
  const shown = maskedConfig(config);
  return SETTING_NAMES.filter((name) => !same(config[name], SETTINGS[name].default)).map((name) => ({
    name,
    celery: SETTINGS[name].default,
    here: shown[name],
  }));
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const keys = Object.keys(a);
  return (
    Array.isArray(a) === Array.isArray(b) &&
    keys.length === Object.keys(b).length &&
    keys.every((key) => same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]))
  );
}

const MASK = '********';
const SECRET_KEY = /passw|secret|token|credential|api_?key|access_?key|private_?key|^key$|^pfx$/i;

/** The configuration as it may be shown: no password, key or token. URLs keep everything but their secrets. */
export function maskedConfig(config: Config): Readonly<Record<SettingName, unknown>> {
  return Object.fromEntries(
    SETTING_NAMES.map((name) => {
      const value = config[name];
      return [name, SETTINGS[name].secret === true && value !== null ? MASK : masked(value, new Set())];
    }),
  ) as Record<SettingName, unknown>;
}

function masked(value: unknown, above: Set<object>): unknown {
  if (typeof value === 'string') return value.includes('://') ? maskUrl(value) : value;
  if (typeof value !== 'object' || value === null || value instanceof RegExp) return value;
  if (above.has(value)) return '[circular]';
  const within = new Set(above).add(value);
  if (Array.isArray(value)) return value.map((one: unknown) => masked(one, within));
  if (!isPlain(value)) return `[${value.constructor?.name ?? 'object'}]`;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, SECRET_KEY.test(key) && one !== null ? MASK : masked(one, within)]),
  );
}
