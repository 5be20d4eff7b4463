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
  /** Debian has none. */
  readonly flower: string;
}

/** Celery's version, as numbers: an old one, Debian's for example, lacks some of what is compared with it. */
export type CeleryVersion = readonly number[];

declare module 'vitest' {
  interface ProvidedContext {
    available: Available;
    celery: CeleryVersion;
  }
}

/** Why tests that need this are skipped, or undefined when they run. */
export function missing(what: keyof Available): string | undefined {
  return inject('available')[what] || undefined;
}

/** Why tests that need Celery of at least this version are skipped, or undefined when they run. */
export function olderThan(major: number, minor: number): string | undefined {
  const [has = 0, minorHas = 0] = inject('celery');
  if (has > major || (has === major && minorHas >= minor)) return undefined;
  return `Celery ${inject('celery').join('.')} is older than ${major}.${minor}`;
}
