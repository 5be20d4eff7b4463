import type { Config } from './config.ts';

/*
 * Arguments are described in the headers of a message, and from there in events, monitors and logs. What is secret by its
 * name is not shown there; the body has it, and the task gets it.
 */

const MASK = '********';
const DEEPEST = 3;

/** Hides values by the names of their arguments and fields; undefined: nothing is to be hidden. */
export class ArgumentMask {
  readonly #names: readonly string[];

  constructor(names: readonly string[]) {
    this.#names = names.map(plain);
  }

  static of({ maskedArguments }: Config): ArgumentMask | undefined {
    return maskedArguments === null || maskedArguments.length === 0 ? undefined : new ArgumentMask(maskedArguments);
  }

  /** @param params names of the positions, where the task says them */
  args(args: readonly unknown[], params: readonly string[] | null | undefined): readonly unknown[] {
    let copy: unknown[] | undefined;
    for (let at = 0; at < args.length; at++) {
      const name = params?.[at];
      const value = args[at];
      const shown = name !== undefined && this.#hides(name) ? MASK : this.#shown(value, 0);
      if (shown !== value) (copy ??= [...args])[at] = shown;
    }
    return copy ?? args;
  }

  kwargs(kwargs: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    return this.#shown(kwargs, 0) as Readonly<Record<string, unknown>>;
  }

  /** The value itself where it hides nothing. */
  #shown(value: unknown, depth: number): unknown {
    if (typeof value !== 'object' || value === null || depth > DEEPEST) return value;
    const list = Array.isArray(value);
    if (!list && Object.getPrototypeOf(value) !== Object.prototype) return value;
    let copy: Record<string, unknown> | undefined;
    for (const [name, one] of Object.entries(value)) {
      const shown = !list && this.#hides(name) ? MASK : this.#shown(one, depth + 1);
      if (shown !== one) (copy ??= (list ? [...value] : { ...value }) as Record<string, unknown>)[name] = shown;
    }
    return copy ?? value;
  }

  #hides(name: string): boolean {
    const text = plain(name);
    return this.#names.some((secret) => text.includes(secret));
  }
}

/** `api_key`, `apiKey` and `API-Key` are one name. */
function plain(name: string): string {
  return name.toLowerCase().replace(/[_-]/g, '');
}
