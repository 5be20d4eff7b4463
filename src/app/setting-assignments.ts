import { ImproperlyConfigured } from '../errors.ts';
import type { Setting } from './setting.ts';
import { settingOf, unknownSetting } from './setting-names.ts';
import { readValue } from './setting-values.ts';
import { SETTINGS, type ConfigInput, type SettingName } from './settings.ts';

const TRUE: ReadonlySet<string> = new Set(['1', 'true', 'yes', 'on']);
const FALSE: ReadonlySet<string> = new Set(['0', 'false', 'no', 'off']);

/** undefined: not a boolean. Source: `strtobool` of celery.utils.serialization. */
function toBool(text: string): boolean | undefined {
  const word = text.toLowerCase();
  return TRUE.has(word) ? true : FALSE.has(word) ? false : undefined;
}

function toNumber(text: string): number | undefined {
  return text.trim() === '' || Number.isNaN(Number(text)) ? undefined : Number(text);
}

function toJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** A text as the setting's type; undefined leaves it as it is, for `readValue` to judge. */
function cast(text: string, setting: Setting<unknown>): unknown {
  if (setting.nullable && /^(?:null|none)$/i.test(text)) return null;
  switch (setting.type) {
    case 'bool':
    case 'boolOrObject':
      return toBool(text) ?? toJson(text);
    case 'count':
    case 'deliveryMode':
    case 'int':
    case 'number':
    case 'rate':
    case 'seconds':
    case 'user':
      return toNumber(text);
    case 'oneOf':
      return setting.values?.find((value) => String(value) === text);
    case 'list':
      return text.startsWith('[') ? toJson(text) : text.split(',').map((one) => one.trim());
    case 'object':
    case 'annotations':
    case 'queues':
    case 'routes':
      return toJson(text);
    case 'any':
    case 'strategy':
    case 'text':
    case 'timezone':
    case 'urls':
      return undefined;
  }
}

/** Casts that may be written before the value: `(json)[1]`. */
const CASTS: ReadonlyMap<string, (text: string) => unknown> = new Map<string, (text: string) => unknown>([
  ['any', (text) => text],
  ['string', (text) => text],
  ['bool', toBool],
  ['int', (text) => (/^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : undefined)],
  ['float', toNumber],
  ['json', toJson],
  ['dict', toJson],
  ['list', toJson],
  ['tuple', toJson],
]);

/**
 * Settings from the command line: `worker.prefetch_multiplier=1`, `worker_prefetch_multiplier=1`, and
 * `.prefetch_multiplier=1` in the default namespace; upper and lower case are the same. A value is read as its
 * setting's type, or as the one written before it: `(type)value` with string, int, float, bool, any, dict, tuple, list, json.
 *
 * @param defaultNamespace `worker` for the worker, `beat` for beat
 * @throws {ImproperlyConfigured} names the argument, what was expected and what came
 *
 * @example
 * parseSettingAssignments(['.concurrency=4', 'task.acks_late=no'], 'worker');
 * // { workerConcurrency: 4, taskAcksLate: false }
 *
 * Source: `cmdline_config_parser` of celery.loaders.base. Differs: names without a namespace (`timezone=UTC`) work.
 */
export function parseSettingAssignments(args: readonly string[], defaultNamespace: string): ConfigInput {
  return Object.fromEntries(args.map((arg) => parseAssignment(arg, defaultNamespace))) as ConfigInput;
}

function parseAssignment(arg: string, defaultNamespace: string): [SettingName, unknown] {
  const split = arg.indexOf('=');
  if (split < 1) throw new ImproperlyConfigured(`expected name=value such as worker.concurrency=4, got "${arg}"`);
  const key = arg
    .slice(0, split)
    .toLowerCase()
    .replaceAll('.', '_')
    .replace(/^_/, `${defaultNamespace.toLowerCase()}_`);
  const name = settingOf(key) ?? settingOf(arg.slice(0, split));
  if (name === undefined) throw unknownSetting(key);
  const setting = SETTINGS[name] as Setting<unknown>;
  const text = arg.slice(split + 1);
  let value = typed(text, name);
  if (value === undefined) value = cast(text, setting);
  return [name, readValue(name, setting, value === undefined ? text : value)];
}

function typed(text: string, name: string): unknown {
  const match = /^\((\w+)\)(.*)$/s.exec(text);
  if (!match) return undefined;
  const [, type = '', rest = ''] = match;
  const convert = CASTS.get(type);
  if (!convert) {
    throw new ImproperlyConfigured(
      `setting "${name}": expected one of (${[...CASTS.keys()].join('), (')}), got (${type})`,
    );
  }
  const value = convert(rest);
  if (value === undefined)
    throw new ImproperlyConfigured(`setting "${name}": expected a value of type ${type}, got "${rest}"`);
  return value;
}
