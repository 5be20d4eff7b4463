import { InvalidTaskError } from '../errors.ts';
import type { Headers } from './message.ts';
import type { TaskHeaders } from './task-message.ts';

type Timelimit = TaskHeaders['timelimit'];

const NO_LIMITS: Timelimit = [null, null];

/** What a producer may leave out, in the order Python writes headers. `task` and `id` have no default. */
const DEFAULTS = {
  lang: 'py',
  shadow: null,
  eta: null,
  expires: null,
  group: null,
  group_index: null,
  retries: 0,
  timelimit: NO_LIMITS,
  root_id: null,
  parent_id: null,
  argsrepr: '',
  kwargsrepr: '',
  origin: '',
  ignore_result: null,
  replaced_task_nesting: 0,
  stamped_headers: null,
  stamps: {},
} as const;

const STANDARD: ReadonlySet<string> = new Set([...Object.keys(DEFAULTS), 'task', 'id', 'compression', 'meth']);

/** The headers that are neither Celery's own nor describe the body's compression. */
export function customHeaders(headers: Headers): Record<string, unknown> {
  const custom: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (!STANDARD.has(name) && name !== '__proto__') custom[name] = value;
  }
  return custom;
}

function invalid(name: string, expected: string, value: unknown): InvalidTaskError {
  const got = value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`;
  return new InvalidTaskError(`header "${name}": expected ${expected}, got ${got}`);
}

function isTextOrNull(value: unknown): boolean {
  return value === null || typeof value === 'string';
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

function isSeconds(value: unknown): boolean {
  return value === null || (typeof value === 'number' && !Number.isNaN(value));
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNameList(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.every((name) => typeof name === 'string'));
}

/**
 * Checks and completes headers of protocol 2, without looking at the body.
 * Returns the same object when nothing is missing, which is what every current producer sends.
 * @throws {InvalidTaskError} for what would stop or confuse a worker (spec: messages.md 9)
 */
export function checkHeaders(headers: Headers): TaskHeaders {
  const { task, id } = headers;
  if (typeof task !== 'string' || task === '') throw invalid('task', 'a task name', task);
  if (typeof id !== 'string' || id === '') throw invalid('id', 'a task id', id);
  let known = headers;
  for (const name in DEFAULTS) {
    if (known[name] === undefined) {
      known = { ...DEFAULTS, ...definedOnly(headers) };
      break;
    }
  }
  return checkTypes(known);
}

function definedOnly(headers: Headers): Headers {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
}

function checkTypes(headers: Headers): TaskHeaders {
  const limits = headers['timelimit'];
  if (!isTextOrNull(headers['shadow'])) throw invalid('shadow', 'text or null', headers['shadow']);
  if (!isTextOrNull(headers['eta'])) throw invalid('eta', 'an ISO 8601 time or null', headers['eta']);
  if (!isTextOrNull(headers['expires'])) throw invalid('expires', 'an ISO 8601 time or null', headers['expires']);
  if (!isTextOrNull(headers['group'])) throw invalid('group', 'a group id or null', headers['group']);
  const index = headers['group_index'];
  if (index !== null && !isCount(index)) throw invalid('group_index', 'a position or null', index);
  if (!isTextOrNull(headers['root_id'])) throw invalid('root_id', 'a task id or null', headers['root_id']);
  if (!isTextOrNull(headers['parent_id'])) throw invalid('parent_id', 'a task id or null', headers['parent_id']);
  const ignore = headers['ignore_result'];
  if (ignore !== null && typeof ignore !== 'boolean') throw invalid('ignore_result', 'a boolean or null', ignore);
  if (!isNameList(headers['stamped_headers'])) {
    throw invalid('stamped_headers', 'a list of names or null', headers['stamped_headers']);
  }
  const repaired = repair(headers, limits);
  if (!isCount(repaired['retries'])) throw invalid('retries', 'a number of retries', headers['retries']);
  if (!isCount(repaired['replaced_task_nesting'])) {
    throw invalid('replaced_task_nesting', 'a number', headers['replaced_task_nesting']);
  }
  const pair = repaired['timelimit'];
  if (!Array.isArray(pair) || pair.length !== 2 || !pair.every(isSeconds)) {
    throw invalid('timelimit', '[hard, soft] in seconds', limits);
  }
  return repaired as TaskHeaders;
}

/** null where Python reads a default, and texts that are only shown and may be anything. */
function repair(headers: Headers, limits: unknown): Headers {
  const { retries, replaced_task_nesting, argsrepr, kwargsrepr, origin, lang, stamps } = headers;
  const fine =
    retries !== null &&
    replaced_task_nesting !== null &&
    limits !== null &&
    typeof argsrepr === 'string' &&
    typeof kwargsrepr === 'string' &&
    typeof origin === 'string' &&
    typeof lang === 'string' &&
    isRecord(stamps);
  if (fine) return headers;
  return {
    ...headers,
    retries: retries ?? 0,
    replaced_task_nesting: replaced_task_nesting ?? 0,
    timelimit: limits ?? NO_LIMITS,
    argsrepr: typeof argsrepr === 'string' ? argsrepr : '',
    kwargsrepr: typeof kwargsrepr === 'string' ? kwargsrepr : '',
    origin: typeof origin === 'string' ? origin : '',
    lang: typeof lang === 'string' ? lang : 'py',
    stamps: isRecord(stamps) ? stamps : {},
  };
}
