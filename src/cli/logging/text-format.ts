import { inspect } from 'node:util';
import type { LogLevel } from '../../runtime/logger.ts';
import { paint, type Paint } from '../io.ts';
import { maskSecrets } from '../mask.ts';
import { celeryName } from './levels.ts';
import { isSecretName, MASK, withoutSecrets } from './secrets.ts';
import { sentence } from './sentences.ts';

type Fields = Readonly<Record<string, unknown>>;

/** One line to be written. */
export interface LogRecord {
  /** Unix time in milliseconds. */
  readonly time: number;
  readonly level: LogLevel;
  readonly fields: Fields;
  readonly message: string;
}

export type Format = (record: LogRecord) => string;

/** Celery's `worker_log_format`. */
export const WORKER_LOG_FORMAT = '[%(asctime)s: %(levelname)s/%(processName)s] %(message)s';
/** Celery's `worker_task_log_format`, for what a task logs itself. */
export const WORKER_TASK_LOG_FORMAT =
  '[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s';

/** Lines may be this long; an argument of a megabyte is not for reading. */
const LONGEST_VALUE = 4_000;

const pad = (value: number, digits = 2): string => String(value).padStart(digits, '0');

/** Local time as Python's logging writes it: `2026-11-24 11:00:05,123`. */
export function asctime(timeMs: number): string {
  const at = new Date(timeMs);
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return `${day} ${time},${pad(at.getMilliseconds(), 3)}`;
}

function shown(value: unknown): string {
  if (typeof value === 'string') return /[\s"=]/.test(value) || value === '' ? JSON.stringify(value) : value;
  if (value === null || typeof value !== 'object') return String(value);
  return inspect(value, { breakLength: Infinity, depth: 4, maxArrayLength: 20, maxStringLength: 500 });
}

/** Stack traces stand on lines of their own, below. */
function stackOf(fields: Fields): string {
  const { error, traceback } = fields;
  const text =
    error instanceof Error
      ? inspect(error, { depth: 2, maxStringLength: LONGEST_VALUE })
      : typeof traceback === 'string'
        ? traceback
        : undefined;
  return text === undefined ? '' : `\n${text.trimEnd()}`;
}

function fieldText(fields: Fields, hidden: ReadonlySet<string>): string {
  let text = '';
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined || hidden.has(key)) continue;
    const part = isSecretName(key) ? MASK : shown(withoutSecrets(value));
    text += ` ${key}=${part.length > LONGEST_VALUE ? `${part.slice(0, LONGEST_VALUE)}…` : part}`;
  }
  return text;
}

/** Said elsewhere: the trace stands below, the worker's name is on the banner. */
const UNSHOWN = ['traceback', 'worker'];

function coloured(level: LogLevel, line: string, paint: Paint): string {
  switch (level) {
    case 'error':
    case 'fatal':
      return paint.bad(line);
    case 'warn':
      return paint.warning(line);
    case 'debug':
    case 'trace':
      return paint.faint(line);
    default:
      return line;
  }
}

export interface TextFormatOptions {
  readonly colours: boolean;
  /** With Python's `%(name)s` placeholders. @default Celery's */
  readonly format?: string;
  readonly taskFormat?: string;
}

/** Celery's lines, so that people and tools that read its logs can read these. */
export function textFormat(options: TextFormatOptions): Format {
  const paints = paint(options.colours);
  const format = options.format ?? WORKER_LOG_FORMAT;
  const taskFormat = options.taskFormat ?? WORKER_TASK_LOG_FORMAT;
  return ({ time, level, fields, message }) => {
    const { text, rest } = sentence(fields, message);
    const inTask = text === message && typeof fields['task'] === 'string' && typeof fields['taskId'] === 'string';
    const hidden = new Set(inTask ? ['task', 'taskId', 'rootId'] : []);
    const child = typeof fields['pid'] === 'number' && fields['pid'] !== process.pid ? fields['pid'] : undefined;
    if (child !== undefined) hidden.add('pid');
    const { error } = rest;
    if (error instanceof Error) hidden.add('error');
    for (const key of UNSHOWN) hidden.add(key);
    const values: Readonly<Record<string, string>> = {
      asctime: asctime(time),
      levelname: celeryName(level),
      processName: child === undefined ? 'MainProcess' : `ForkPoolWorker-${child}`,
      process: String(child ?? process.pid),
      name: 'celery.worker',
      message: text + fieldText(rest, hidden),
      task_name: String(fields['task']),
      task_id: String(fields['taskId']),
    };
    const line = (inTask ? taskFormat : format).replace(
      /%\((\w+)\)[sd]/g,
      (whole, name: string) => values[name] ?? whole,
    );
    return `${coloured(level, maskSecrets(line), paints)}${maskSecrets(stackOf(rest))}\n`;
  };
}
