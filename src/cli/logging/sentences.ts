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
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '?');
}

function task(fields: Fields): string {
  return `Task ${text(fields['task'])}[${text(fields['taskId'])}]`;
}

const TASK = ['task', 'taskId', 'rootId', 'args', 'kwargs', 'eta'];

function aboutTask(rest: (fields: Fields) => string, said: readonly string[] = []): Sentence {
  return { write: (fields) => `${task(fields)} ${rest(fields)}`, said: [...TASK, ...said] };
}

const SENTENCES: Readonly<Record<string, Sentence>> = {
  'task received': aboutTask(() => 'received'),
  'task succeeded': aboutTask(
    ({ runtime, result }) => `succeeded in ${text(runtime)}s: ${text(result)}`,
    ['runtime', 'result'],
  ),
  'task raised unexpected': aboutTask(({ exception }) => `raised unexpected: ${text(exception)}`, ['exception']),
  'task raised expected': aboutTask(({ exception }) => `raised expected: ${text(exception)}`, ['exception']),
  'task retry': aboutTask(({ retry }) => `retry: ${text(retry)}`, ['retry']),
  'task ignored': aboutTask(() => 'ignored'),
  'task rejected': aboutTask(({ reason }) => `rejected: ${text(reason)}`, ['reason']),
  'discarding revoked task': {
    write: (fields) => `Discarding revoked task: ${text(fields['task'])}[${text(fields['taskId'])}]`,
    said: TASK,
  },
  ready: { write: ({ worker }) => `${text(worker)} ready.`, said: ['worker', 'queues'] },
};

/** The line's text and the fields that are still to be shown beside it. */
export function sentence(fields: Fields, message: string): { readonly text: string; readonly rest: Fields } {
  const known = SENTENCES[message];
  if (known === undefined) return { text: message, rest: fields };
  const rest = Object.fromEntries(Object.entries(fields).filter(([key]) => !known.said.includes(key)));
  return { text: known.write(fields), rest };
}
