export { Beat, type BeatOptions } from './beat.ts';
export { FileStore } from './file-store.ts';
export type {
  LoadContext,
  OpenScheduler,
  RunState,
  ScheduleStore,
  SchedulerClass,
  SchedulerContext,
  StoredEntry,
} from './schedule-store.ts';
export { defineScheduler, openStore, type StoreOptions } from './scheduler.ts';
