import { ImproperlyConfigured } from '../errors.ts';

/** A module of the project cannot be loaded, or does not hold what was looked for. */
export class LoadError extends ImproperlyConfigured {
  /** What to do about it. */
  readonly hint: string | undefined;
  /** There is no such module: the name is wrong, not the module. */
  readonly missing: boolean;
  constructor(message: string, options: { hint?: string; missing?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.hint = options.hint;
    this.missing = options.missing ?? false;
  }
}
