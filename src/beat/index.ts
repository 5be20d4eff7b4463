export { Beat, type BeatOptions } from './beat.ts';
export { FileStore } from './file-store.ts';
export type { BeatState, RunState, ScheduleStore } from './schedule-store.ts';
