import { inject } from 'vitest';

/** What `global-setup.ts` found or installed; empty text means it is there, anything else says why not. */
export interface Available {
  readonly redis: string;
  readonly rabbitmq: string;
  readonly postgresql: string;
  readonly mariadb: string;
  readonly tmux: string;
  readonly zsh: string;
  readonly fish: string;
  readonly python: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    available: Available;
  }
}

/** Why tests that need this are skipped, or undefined when they run. */
export function missing(what: keyof Available): string | undefined {
  return inject('available')[what] || undefined;
}
