export { Beat, type BeatOptions } from './beat.ts';
export type { EntryData, ScheduleData } from './entry-data.ts';
export { FileStore } from './file-store.ts';
export type {
  Election,
  LoadContext,
  OpenScheduler,
  RunState,
  ScheduleEditor,
  ScheduleStore,
  SchedulerClass,
  SchedulerContext,
  StoredEntry,
} from './schedule-store.ts';
export { openSchedule, ScheduleControl, type ScheduledEntry } from './schedule-control.ts';
export { defineScheduler, openStore, type StoreOptions } from './scheduler.ts';
