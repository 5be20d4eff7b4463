import { UsageError } from '../errors.ts';

/** An option that an app adds to a command of the command line. */
export interface UserOption {
  /** As it is typed: `--cache-size <n>`, or `-z, --dry` for a switch. */
  readonly flags: string;
  readonly help: string;
  readonly default?: string | boolean | undefined;
  /** What the typed text means; throw for a text that means nothing. @default the text */
  readonly parse?: ((text: string) => unknown) | undefined;
}

class OptionList {
  readonly #options: UserOption[] = [];

  /** @throws {UsageError} for flags without a long name */
  add(option: UserOption): void {
    if (!/(?:^|[\s,])--[a-z][a-z\d-]*/.test(option.flags)) {
      throw new UsageError(`option "${option.flags}": expected a long name, such as "--cache-size <n>"`);
    }
    this.#options.push(option);
  }

  get all(): readonly UserOption[] {
    return this.#options;
  }
}

/** Options of an app's own. Source: `user_options` of Celery's app. */
export class UserOptions {
  /** Of `celeriac worker`; steps read them as `scope.options`. */
  readonly worker: OptionList = new OptionList();
  /** Of `celeriac beat`; handlers of `beatInit` are given them. */
  readonly beat: OptionList = new OptionList();
  /** Of `celeriac events`; a camera is given them. */
  readonly events: OptionList = new OptionList();
  /** Of every command but `multi`; handlers of `userPreloadOptions` are given them before the command begins. */
  readonly preload: OptionList = new OptionList();
}
