import { ImproperlyConfigured } from '../errors.ts';
import { buildConfig, type Config, type Environment } from './config.ts';
import { normaliseNames, settingOf, unknownSetting } from './setting-names.ts';
import type { SettingName } from './settings.ts';

type Layer = Map<SettingName, unknown>;

/**
 * The settings of an app while it is being put together. A run-time value wins over the loaded object, this over
 * added defaults, these over the built-ins; the environment wins over all.
 *
 * @example
 * const settings = new Settings({ taskSerializer: 'json' });
 * settings.set('taskSerializer', 'yaml').config.taskSerializer; // 'yaml'
 * settings.unset('taskSerializer').config.taskSerializer; // 'json'
 *
 * Source: `Settings` of celery.app.utils.
 */
export class Settings {
  readonly #env: Environment;
  readonly #runTime: Layer = new Map();
  #loaded: Layer = new Map();
  #defaults: Layer = new Map();
  #config: Config | undefined;

  /**
   * @param values set at run time: what the app's constructor was given
   * @param env see `resolveConfig`
   * @throws {ImproperlyConfigured} for unknown names
   */
  constructor(values: object = {}, env: Environment = {}) {
    this.#env = env;
    for (const [name, value] of normaliseNames(values)) this.#runTime.set(name, value);
  }

  /**
   * Everything together, checked and frozen; made when it is first asked for after a change.
   * @throws {ImproperlyConfigured} for values of the wrong type
   */
  get config(): Config {
    return (this.#config ??= buildConfig([this.#defaults, this.#loaded, this.#runTime], this.#env));
  }

  /** Sets one setting at run time; new names, camelCase or snake_case. */
  set(name: string, value: unknown): this {
    this.#runTime.set(known(name), value);
    return this.#changed();
  }

  /** Takes a run-time value away, which uncovers what lies below. */
  unset(name: string): this {
    this.#runTime.delete(known(name));
    return this.#changed();
  }

  /** Values that count where nobody says otherwise; what was added before stays. */
  addDefaults(values: object): this {
    this.#defaults = new Map([...this.#defaults, ...normaliseNames(values)]);
    return this.#changed();
  }

  /**
   * Takes an object, or the default export of a module, as the configuration; the one before is forgotten.
   * @param options.namespace read only keys that begin with it: `'CELERY'` for `CELERY_BROKER_URL`
   */
  load(object: object, options: { readonly namespace?: string | null } = {}): this {
    this.#loaded = normaliseNames(contents(object), options.namespace);
    return this.#changed();
  }

  #changed(): this {
    this.#config = undefined;
    return this;
  }
}

function known(name: string): SettingName {
  const found = settingOf(name);
  if (found === undefined) throw unknownSetting(name);
  return found;
}

/** A module says its settings as exports, or all together as its default export. */
function contents(object: object): object {
  if (Object.prototype.toString.call(object) !== '[object Module]' || !('default' in object)) return object;
  const { default: exported } = object;
  if (typeof exported === 'object' && exported !== null) return exported;
  throw new ImproperlyConfigured(`expected an object as the default export of the settings, got ${typeof exported}`);
}
