import type { Config } from './settings.ts';

/** The zone of schedules and of moments written without one: `timezone`, else UTC or, without `enableUtc`, the machine's. */
export function effectiveTimezone(config: Pick<Config, 'timezone' | 'enableUtc'>): string {
  if (config.timezone !== null) return config.timezone;
  return config.enableUtc ? 'UTC' : new Intl.DateTimeFormat().resolvedOptions().timeZone;
}
