/*
 * Result handles as Celery serializes them (spec: results.md 4).
 * task `[[id, parent], null]`, group `[[id, parent], [member, ...]]`; the short form `[id, null]` has no parent.
 */

export type ResultTuple = readonly [head: ResultHead, members: readonly ResultTuple[] | null];
export type ResultHead = readonly [id: string, parent: ResultTuple | null] | string;
