import { ImproperlyConfigured } from '../errors.ts';
import { nearest } from '../runtime/nearest.ts';
import { SETTING_NAMES, SETTINGS, type SettingName } from './settings.ts';

/*
 * A setting has up to four spellings:
 *   new         taskSerializer (ours), task_serializer (Celery's)
 *   old         CELERY_TASK_SERIALIZER, CELERYD_CONCURRENCY: Celery before 4.0
 *   namespaced  CELERY_TASK_SERIALIZER with namespace 'CELERY': prefix, then the new name in upper case
 */

/** Celery's spelling: `taskSerializer` is `task_serializer`. */
export function snakeName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

const OLD_PREFIXES: readonly (readonly [prefix: string, old: string])[] = [
  ['beat_', 'CELERYBEAT_'],
  ['task_', 'CELERY_'],
  ['worker_', 'CELERYD_'],
];
const OLD_WITH_CELERY =
  /^(?:accept_content|imports|include|timezone)$|^(?:event|redis|result|cache|mongodb|elasticsearch|security|couchbase|arangodb)_/;

/** The name before Celery 4.0: config.md's rule, or the exception in the table. */
export function oldName(name: SettingName): string {
  const exception = SETTINGS[name].oldName;
  if (exception !== undefined) return exception;
  const snake = snakeName(name);
  for (const [prefix, old] of OLD_PREFIXES) {
    if (snake.startsWith(prefix)) return old + snake.slice(prefix.length).toUpperCase();
  }
  return (OLD_WITH_CELERY.test(snake) ? 'CELERY_' : '') + snake.toUpperCase();
}

const BY_NEW_NAME: ReadonlyMap<string, SettingName> = new Map(
  SETTING_NAMES.flatMap((name): [string, SettingName][] => [
    [name, name],
    [snakeName(name), name],
  ]),
);
const BY_OLD_NAME: ReadonlyMap<string, SettingName> = new Map(SETTING_NAMES.map((name) => [oldName(name), name]));

/** The setting of a new spelling, camelCase or snake_case. */
export function settingOf(key: string): SettingName | undefined {
  return BY_NEW_NAME.get(key);
}

function meaning(proposal: string | undefined): string {
  return proposal === undefined ? ', and none is called alike: see docs/settings.md.' : `: did you mean "${proposal}"?`;
}

/** For a key that names nothing: says which name was probably meant. */
export function unknownSetting(key: string, hint = ''): ImproperlyConfigured {
  const oldStyle = key === key.toUpperCase();
  const spellings = key.includes('_') ? SETTING_NAMES.map(snakeName) : SETTING_NAMES;
  const proposal = nearest(key, oldStyle ? [...BY_OLD_NAME.keys()] : spellings);
  return new ImproperlyConfigured(`unknown setting "${key}"${meaning(proposal)}${hint}`);
}

type Given = Map<SettingName, { readonly key: string; readonly value: unknown }>;

function take(into: Given, name: SettingName, key: string, value: unknown): void {
  const before = into.get(name);
  if (before !== undefined && before.value !== value) {
    throw new ImproperlyConfigured(`"${before.key}" and "${key}" are one setting with two values: remove one of them`);
  }
  into.set(name, { key, value });
}

/** Keys with the prefix are settings, all others somebody else's. */
function namespaced(input: object, namespace: string): Given {
  const prefix = `${namespace.replace(/_+$/, '').toLowerCase()}_`;
  const given: Given = new Map();
  for (const [key, value] of Object.entries(input)) {
    if (value === undefined || !key.toLowerCase().startsWith(prefix)) continue;
    const rest = key.slice(prefix.length);
    const name = settingOf(rest) ?? settingOf(rest.toLowerCase());
    if (name === undefined) {
      const proposal = nearest(rest, SETTING_NAMES.map(snakeName));
      const spelled = rest === rest.toUpperCase() ? proposal?.toUpperCase() : proposal;
      const meant = spelled === undefined ? undefined : key.slice(0, prefix.length) + spelled;
      throw new ImproperlyConfigured(`unknown setting "${key}"${meaning(meant)}`);
    }
    take(given, name, key, value);
  }
  return given;
}

/**
 * The settings of an object by their own names, whichever spelling it uses.
 * Old and new names may not be mixed, except where a setting is given in both: then the spelling that
 * most of the object uses counts (a tie goes to the new one). Entries that are `undefined` count as absent.
 * @throws {ImproperlyConfigured} for unknown names and for mixed spellings
 *
 * Source: `detect_settings` of celery.app.utils. Differs: unknown names are errors.
 */
export function normaliseNames(input: object, namespace?: string | null): Map<SettingName, unknown> {
  const chosen = namespace ? namespaced(input, namespace) : unprefixed(input);
  return new Map([...chosen].map(([name, { value }]) => [name, value]));
}

function unprefixed(input: object): Given {
  const inNew: Given = new Map();
  const inOld: Given = new Map();
  for (const [key, value] of Object.entries(input)) {
    if (value === undefined) continue;
    const name = BY_NEW_NAME.get(key);
    const old = BY_OLD_NAME.get(key);
    if (name !== undefined) take(inNew, name, key, value);
    else if (old !== undefined) take(inOld, old, key, value);
    else
      throw unknownSetting(key, key.startsWith('CELERY_') ? " Names with a prefix need { namespace: 'CELERY' }." : '');
  }
  const useOld = inOld.size > inNew.size;
  const [chosen, left] = useOld ? [inOld, inNew] : [inNew, inOld];
  const renames = [...left].filter(([name]) => !chosen.has(name));
  if (renames.length > 0) throw mixed(renames, useOld);
  return chosen;
}

function mixed(renames: readonly (readonly [SettingName, { readonly key: string }])[], useOld: boolean): Error {
  const list = renames.map(([name, { key }]) => `${key} -> ${useOld ? oldName(name) : snakeName(name)}`);
  return new ImproperlyConfigured(
    `old and new names of settings cannot be mixed; most here are ${useOld ? 'old' : 'new'}, so rename: ${list.join(', ')}`,
  );
}
