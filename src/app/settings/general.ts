import type { SettingsObject, SettingsOf } from '../setting.ts';

/** General. */
export interface GeneralSettings {
  /** Content types/serializers accepted by consumers. */
  readonly acceptContent: readonly string[];
  /** Same for results; null = acceptContent. */
  readonly resultAcceptContent: readonly string[] | null;
  /** Use UTC when timezone is unset. */
  readonly enableUtc: boolean;
  /** IANA zone for ETA strings, schedules, date_done. */
  readonly timezone: string | null;
  /** Modules imported by the worker at start. */
  readonly imports: readonly string[];
  /** Further modules imported after imports. */
  readonly include: readonly string[];
  /** Own result backends by alias: a URL, or a function (url, options, context) that makes one. */
  readonly overrideBackends: SettingsObject | null;
}

export const GENERAL_SETTINGS: SettingsOf<GeneralSettings> = {
  acceptContent: {
    type: 'list',
    default: ['json'],
    meaning: 'Content types/serializers accepted by consumers',
    status: 'used',
  },
  resultAcceptContent: {
    type: 'list',
    default: null,
    nullable: true,
    meaning: 'Same for results; null = acceptContent',
    oldName: 'RESULT_ACCEPT_CONTENT',
    status: 'used',
  },
  enableUtc: { type: 'bool', default: true, meaning: 'Use UTC when timezone is unset', status: 'used' },
  timezone: {
    type: 'timezone',
    default: null,
    nullable: true,
    meaning: 'IANA zone for ETA strings, schedules, date_done',
    status: 'used',
  },
  imports: { type: 'list', default: [], meaning: 'Modules imported by the worker at start', status: 'used' },
  include: {
    type: 'list',
    default: [],
    meaning: 'Further modules imported after imports',
    flag: 'celeriac worker -I',
    status: 'used',
  },
  overrideBackends: {
    type: 'object',
    default: null,
    nullable: true,
    meaning: 'Own result backends by alias: a URL, or a function (url, options, context) that makes one',
    status: 'used',
  },
};
