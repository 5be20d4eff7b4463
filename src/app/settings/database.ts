import type { SettingsObject, SettingsOf } from '../setting.ts';

/** Database (SQL). */
export interface DatabaseSettings {
  /** SQLAlchemy URL. */
  readonly databaseUrl: string | null;
  /** Engine options. */
  readonly databaseEngineOptions: SettingsObject;
  /** New session per operation. */
  readonly databaseShortLivedSessions: boolean;
  /** Schemas for `task`, `group`. */
  readonly databaseTableSchemas: SettingsObject | null;
  /** Names for `task`, `group`. */
  readonly databaseTableNames: SettingsObject | null;
  /** Create tables at start. */
  readonly databaseCreateTablesAtSetup: boolean;
}

export const DATABASE_SETTINGS: SettingsOf<DatabaseSettings> = {
  databaseUrl: {
    type: 'text',
    default: null,
    nullable: true,
    unit: 'URL',
    meaning: 'SQLAlchemy URL',
    oldName: 'CELERY_RESULT_DBURI',
    status: 'accepted',
  },
  databaseEngineOptions: {
    type: 'object',
    default: { pool_pre_ping: true, pool_recycle: 3600 },
    meaning: 'Engine options',
    oldName: 'CELERY_RESULT_ENGINE_OPTIONS',
    status: 'accepted',
  },
  databaseShortLivedSessions: {
    type: 'bool',
    default: false,
    meaning: 'New session per operation',
    oldName: 'CELERY_RESULT_DB_SHORT_LIVED_SESSIONS',
    status: 'accepted',
  },
  databaseTableSchemas: {
    type: 'object',
    default: null,
    nullable: true,
    meaning: 'Schemas for `task`, `group`',
    status: 'accepted',
  },
  databaseTableNames: {
    type: 'object',
    default: null,
    nullable: true,
    meaning: 'Names for `task`, `group`',
    oldName: 'CELERY_RESULT_DB_TABLENAMES',
    status: 'accepted',
  },
  databaseCreateTablesAtSetup: { type: 'bool', default: true, meaning: 'Create tables at start', status: 'accepted' },
};
