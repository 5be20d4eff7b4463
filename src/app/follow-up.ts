import type { ResultRecord } from '../backends/backend.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { Celery } from './celery.ts';
import type { RetryRequest } from './context.ts';
import type { TaskHooks } from './hooks.ts';
import type { TaskRequest } from './request.ts';
import type { RegisteredTask } from './task.ts';
import type { Failure, RetryOutcome } from './trace.ts';
import { type ExceptionRecord } from '../protocol/exception.ts';

export declare function publishCallbacks(app: Celery, request: TaskRequest, value: unknown): Promise<ResultTuple[]>;
export declare function publishErrbacks(
  app: Celery,
  request: TaskRequest,
  outcome: Pick<Failure, 'error' | 'traceback'>,
): Promise<void>;
export declare function publishRetry(app: Celery, request: TaskRequest, retry: RetryRequest): Promise<void>;
export declare function startedRecord(
  app: Celery,
  request: TaskRequest,
  meta: { pid: number; hostname: string },
): ResultRecord;
export declare function successRecord(
  app: Celery,
  request: TaskRequest,
  value: unknown,
  children: readonly ResultTuple[],
): ResultRecord;
export declare function failureRecord(
  app: Celery,
  request: TaskRequest,
  record: ExceptionRecord,
  traceback: string | null,
  children?: readonly ResultTuple[],
): ResultRecord;
export declare function retryRecord(
  app: Celery,
  request: TaskRequest,
  outcome: Pick<RetryOutcome, 'record' | 'traceback'>,
): ResultRecord;
export declare function revokedRecord(
  app: Celery,
  request: TaskRequest,
  reason: 'revoked' | 'expired' | 'terminated',
): ResultRecord;
/** Calls one hook of the task; what it throws is logged. */
export declare function runHook<N extends keyof TaskHooks>(
  app: Celery,
  task: RegisteredTask,
  name: N,
  ...args: Parameters<NonNullable<TaskHooks[N]>>
): void | Promise<void>;
