import type { SettingsInput, SettingsOf } from './setting.ts';
import { BEAT_SETTINGS, type BeatSettings } from './settings/beat.ts';
import { BROKER_SETTINGS, type BrokerSettings } from './settings/broker.ts';
import { CELERIAC_SETTINGS, type CeleriacSettings } from './settings/celeriac.ts';
import { DATABASE_SETTINGS, type DatabaseSettings } from './settings/database.ts';
import { EVENTS_SETTINGS, type EventsSettings } from './settings/events.ts';
import { GENERAL_SETTINGS, type GeneralSettings } from './settings/general.ts';
import { REDIS_SETTINGS, type RedisSettings } from './settings/redis.ts';
import { RESULT_SETTINGS, type ResultSettings } from './settings/result.ts';
import { ROUTING_SETTINGS, type RoutingSettings } from './settings/routing.ts';
import { SECURITY_SETTINGS, type SecuritySettings } from './settings/security.ts';
import { STORES_SETTINGS, type StoresSettings } from './settings/stores.ts';
import { TASK_SETTINGS, type TaskSettings } from './settings/task.ts';
import { WORKER_SETTINGS, type WorkerSettings } from './settings/worker.ts';

/** Every setting with its value. Numbers of time are seconds, as in Celery, unless the name says `Ms`. */
export interface Config
  extends
    CeleriacSettings,
    GeneralSettings,
    BrokerSettings,
    TaskSettings,
    RoutingSettings,
    WorkerSettings,
    EventsSettings,
    ResultSettings,
    RedisSettings,
    DatabaseSettings,
    StoresSettings,
    BeatSettings,
    SecuritySettings {}

/** What may be configured: any setting, times also as texts such as `'30s'`. */
export type ConfigInput = SettingsInput<Config>;

export type SettingName = keyof Config;

/** The groups in the order of `docs/settings.md`. */
export const SETTING_GROUPS: Readonly<Record<string, Readonly<Record<string, SettingsOf<Config>[SettingName]>>>> = {
  Celeriac: CELERIAC_SETTINGS,
  General: GENERAL_SETTINGS,
  Broker: BROKER_SETTINGS,
  Task: TASK_SETTINGS,
  Routing: ROUTING_SETTINGS,
  Worker: WORKER_SETTINGS,
  'Events and control': EVENTS_SETTINGS,
  'Results (general)': RESULT_SETTINGS,
  Redis: REDIS_SETTINGS,
  'Database (SQL)': DATABASE_SETTINGS,
  'Other result stores': STORES_SETTINGS,
  Beat: BEAT_SETTINGS,
  Security: SECURITY_SETTINGS,
};

/** Every setting. Defaults are those of Celery 5.6; `presets.ts` has what the preset `safe` changes. */
export const SETTINGS: SettingsOf<Config> = {
  ...CELERIAC_SETTINGS,
  ...GENERAL_SETTINGS,
  ...BROKER_SETTINGS,
  ...TASK_SETTINGS,
  ...ROUTING_SETTINGS,
  ...WORKER_SETTINGS,
  ...EVENTS_SETTINGS,
  ...RESULT_SETTINGS,
  ...REDIS_SETTINGS,
  ...DATABASE_SETTINGS,
  ...STORES_SETTINGS,
  ...BEAT_SETTINGS,
  ...SECURITY_SETTINGS,
};

export const SETTING_NAMES: readonly SettingName[] = Object.keys(SETTINGS) as SettingName[];
