/*
 * Watching a cluster: events as they come (`app.events()`), and the state they add up to.
 */

export { EventStream, type EventStreamOptions } from '../app/event-stream.ts';
export type { CeleryEvent, EventTypes } from '../protocol/event-types.ts';
export { runCamera, type Camera, type CameraOptions } from './camera.ts';
export { ClusterState, type Applied, type ClusterStateOptions } from './cluster-state.ts';
export { EventDispatcher } from './dispatcher.ts';
export { queueDepths } from './queue-depths.ts';
export { TaskState } from './task-state.ts';
export { WorkerState } from './worker-state.ts';
