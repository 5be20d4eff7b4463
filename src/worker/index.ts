export { Worker } from './worker.ts';
export type { StopMode, WorkerExit, WorkerOptions } from './worker.ts';
export { nodeName } from './node-name.ts';
export { deadLetterQueue } from './discard.ts';
