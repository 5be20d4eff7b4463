export { Worker } from './worker.ts';
export type { StopMode, WorkerExit, WorkerOptions } from './options.ts';
export type { AutoscaleOptions, AutoscalePolicy, Load } from './autoscale.ts';
export { consumerStep, type ConsumerStepOptions } from './consumer-step.ts';
export type { ConsumerScope, Step, StepScope, StepSource } from '../app/steps.ts';
export { nodeName } from './node-name.ts';
export { deadLetterQueue } from '../messaging/dead-letter.ts';
export { HealthServer, type HealthOptions } from './health.ts';
export type { WorkerVitals } from './vitals.ts';
