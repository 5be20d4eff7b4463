/*
 * Messages of the library are constant and carry their values in fields. People who know Celery, and tools that
 * parse its logs, expect its sentences: this table says which.
 */

type Fields = Readonly<Record<string, unknown>>;

interface Sentence {
  readonly write: (fields: Fields) => string;
  /** Fields that the sentence says already. */
  readonly said: readonly string[];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined ? '?' : (JSON.stringify(value) ?? String(value));
}

function task(fields: Fields): string {
  return `Task ${text(fields['task'])}[${text(fields['taskId'])}]`;
}

const TASK = ['task', 'taskId', 'rootId'];

const SENTENCES: Readonly<Record<string, Sentence>> = {
  'task received': { write: (fields) => `${task(fields)} received`, said: TASK },
  'task succeeded': {
    write: (fields) => `${task(fields)} succeeded in ${text(fields['runtime'])}s: ${text(fields['result'])}`,
    said: [...TASK, 'runtime', 'result'],
  },
  'task failed': {
    write: (fields) => `${task(fields)} raised unexpected: ${text(fields['exception'])}`,
    said: [...TASK, 'exception'],
  },
  'task failed as expected': {
    write: (fields) => `${task(fields)} raised expected: ${text(fields['exception'])}`,
    said: [...TASK, 'exception'],
  },
  'task retried': { write: (fields) => `${task(fields)} retry: ${text(fields['reason'])}`, said: [...TASK, 'reason'] },
  'task ignored': { write: (fields) => `${task(fields)} ignored`, said: TASK },
  'task revoked': {
    write: (fields) => `Discarding revoked task: ${text(fields['task'])}[${text(fields['taskId'])}]`,
    said: TASK,
  },
  'task rejected': { write: (fields) => `${task(fields)} rejected`, said: TASK },
  'worker ready': { write: (fields) => `${text(fields['hostname'])} ready.`, said: ['hostname'] },
};

/** The line's text and the fields that are still to be shown beside it. */
export function sentence(fields: Fields, message: string): { readonly text: string; readonly rest: Fields } {
  const known = SENTENCES[message];
  if (known === undefined) return { text: message, rest: fields };
  const rest = Object.fromEntries(Object.entries(fields).filter(([key]) => !known.said.includes(key)));
  return { text: known.write(fields), rest };
}
