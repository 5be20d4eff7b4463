/**
 * What tests of tasks and of drivers need: the contracts every driver passes, and time that moves when told.
 * @module
 */
export { transportContract, type TransportSubject } from './transport-contract.ts';
export { backendContract, type BackendSubject } from './backend-contract.ts';
export { poolContract, poolContractApp, type PoolSubject } from './pool-contract.ts';
export { ContractViolation, type Runner } from './runner.ts';
export { ManualClock } from './manual-clock.ts';
export { eagerApp, testApp, testWorker, type TestWorker } from './test-app.ts';
export { recordSent, sentMatchers, SentTasks, type SentExpectation, type SentTask } from './sent.ts';
export { taskMessage, type TaskMessageOptions } from './task-message.ts';
