import type { ResultRecord } from '../backends/backend.ts';
import type { ResultMeta, Snapshot } from './snapshot.ts';
import type { ResultSource } from './source.ts';

/** Turns a stored record into what users read; an unknown task is PENDING. */
export function snapshotOf<T>(source: ResultSource, id: string, record: ResultRecord | undefined): Snapshot<T> {
  if (record === undefined) return { id, state: 'PENDING', traceback: null, children: [], dateDone: null };
  const common = {
    id,
    traceback: record.traceback,
    children: record.children,
    dateDone: record.dateDone === null ? null : new Date(record.dateDone),
  };
  switch (record.status) {
    case 'PENDING':
    case 'RECEIVED':
    case 'REJECTED':
      return { ...common, state: record.status };
    case 'STARTED': {
      const meta = (record.result ?? {}) as { pid?: number; hostname?: string };
      return { ...common, state: 'STARTED', worker: meta.hostname ?? null, pid: meta.pid ?? null };
    }
    case 'SUCCESS':
      return { ...common, state: 'SUCCESS', value: record.result as T };
    case 'FAILURE':
    case 'REVOKED':
      return { ...common, state: record.status, error: source.toError(record) };
    case 'RETRY':
      return { ...common, state: 'RETRY', error: record.result === null ? null : source.toError(record) };
    default:
      return { ...common, state: 'CUSTOM', name: record.status, meta: record.result };
  }
}

export function metaOf(record: ResultRecord | undefined): ResultMeta {
  const extended = record?.extended;
  return {
    name: extended?.name ?? null,
    args: extended?.args ?? null,
    kwargs: extended?.kwargs ?? null,
    worker: extended?.worker ?? null,
    retries: extended?.retries ?? null,
    queue: extended?.queue ?? null,
    stamps: extended?.stamps ?? null,
    groupId: record?.groupId ?? null,
    parentId: record?.parentId ?? null,
  };
}
