import type { Logger } from '../runtime/logger.ts';
import type { Config } from './config.ts';
import { SETTING_NAMES, SETTINGS } from './settings.ts';

/**
 * Says which settings were given that nothing here reads: known from Celery and accepted for its sake.
 */
export function warnOfUnread(conf: Config, log: Logger): void {
  const unread = SETTING_NAMES.filter(
    (name) => SETTINGS[name].status === 'accepted' && !isDefault(conf[name], SETTINGS[name].default),
  );
  if (unread.length === 0) return;
  log.warn(
    { settings: unread },
    `settings without effect here, accepted because Celery has them: ${unread.join(', ')}`,
  );
}

function isDefault(value: unknown, standard: unknown): boolean {
  return Object.is(value, standard) || JSON.stringify(value) === JSON.stringify(standard);
}
