/*
 * Reads worker logs line by line. Three kinds of lines tell of tasks:
 *   Celery 5 and ours   [2026-01-02 03:04:05,678: INFO/MainProcess] Task math.add[<id>] received
 *   Celery 4            [… INFO/MainProcess] Received task: math.add[<id>]
 *   ours with --json    {"time":…,"message":"task received","task":"math.add","taskId":"<id>"}
 * A line without a head belongs to the one before: a traceback.
 *
 * Source: celery.bin.logtool. Differs: Celery's own tool finds no received task in the logs of Celery 5.
 */

const HEAD = /^\[\d{4}-\d\d-\d\d /;
const RECEIVED_OLD = /\] Received task: ([\w.:-]+)\[([^\]]+)\]/;
const ABOUT_TASK = /\] Task ([\w.:-]+)\[([^\]]+)\] (.+)/;

export interface AuditEvents {
  readonly onTrace?: ((text: string) => void) | undefined;
  readonly onError?: ((line: string) => void) | undefined;
  readonly onDebug?: ((line: string) => void) | undefined;
}

export interface AuditReport {
  readonly total: number;
  readonly errors: number;
  readonly succeeded: number;
  readonly completed: number;
  /** How often each task was received, the most frequent first. */
  readonly types: Readonly<Record<string, number>>;
}

/** Endings that finish a task; a retry comes back under the same id. */
type Ending = 'succeeded' | 'failed' | 'retried' | 'other';

function endingOf(rest: string): Ending {
  if (rest.startsWith('succeeded')) return 'succeeded';
  if (rest.startsWith('retry')) return 'retried';
  if (/^(raised|failed|rejected)/.test(rest)) return 'failed';
  return 'other';
}

export class Audit {
  readonly #events: AuditEvents;
  readonly #received = new Map<string, string>();
  readonly #ready = new Map<string, Ending>();
  readonly #counts = new Map<string, number>();
  #before: string | undefined;
  #trace: string[] = [];

  constructor(events: AuditEvents = {}) {
    this.#events = events;
  }

  feed(line: string): void {
    if (line.startsWith('{') && this.#json(line)) return;
    if (!HEAD.test(line)) {
      // Celery's empty lines and banner stand before the first head.
      if (this.#before !== undefined || line.trim() !== '') this.#trace.push(line);
      return;
    }
    this.#flush();
    this.#before = line;
    const old = RECEIVED_OLD.exec(line);
    if (old) return this.#receive(old[1] as string, old[2] as string);
    const about = ABOUT_TASK.exec(line);
    if (!about) return this.#events.onDebug?.(line);
    const [, task = '', id = '', rest = ''] = about;
    if (rest.startsWith('received')) this.#receive(task, id);
    else this.#end(id, endingOf(rest), line);
  }

  /** After the last line. */
  end(): void {
    this.#flush();
  }

  #json(line: string): boolean {
    let record: Record<string, unknown>;
    try {
      record = JSON.parse(line) as Record<string, unknown>;
    } catch {
      return false;
    }
    const { message, task, taskId, error, traceback } = record;
    this.#flush();
    if (typeof message !== 'string') return false;
    if (typeof taskId !== 'string' || !message.startsWith('task ')) this.#events.onDebug?.(line);
    else if (message === 'task received') this.#receive(String(task), taskId);
    else this.#end(taskId, endingOf(message.slice('task '.length)), line);
    const stack = typeof traceback === 'string' ? traceback : (error as { stack?: string } | undefined)?.stack;
    if (stack !== undefined) this.#events.onTrace?.(`${line}\n${stack}`);
    return true;
  }

  #receive(task: string, id: string): void {
    this.#received.set(id, task);
    this.#counts.set(task, (this.#counts.get(task) ?? 0) + 1);
  }

  #end(id: string, ending: Ending, line: string): void {
    if (ending === 'other') return this.#events.onDebug?.(line);
    if (ending === 'retried') return;
    this.#ready.set(id, ending);
    if (ending === 'failed') this.#events.onError?.(line);
  }

  #flush(): void {
    const text = this.#trace.join('\n').trim();
    if (text !== '') this.#events.onTrace?.(this.#before === undefined ? text : `${this.#before}\n${text}`);
    this.#trace = [];
    this.#before = undefined;
  }

  /** Ids and names of tasks that were received and did not end. */
  incomplete(): [id: string, task: string][] {
    return [...this.#received].filter(([id]) => !this.#ready.has(id));
  }

  report(): AuditReport {
    const endings = [...this.#ready.values()];
    const succeeded = endings.filter((one) => one === 'succeeded').length;
    return {
      total: this.#received.size,
      errors: endings.length - succeeded,
      succeeded,
      completed: endings.length,
      types: Object.fromEntries([...this.#counts].sort(([, a], [, b]) => b - a)),
    };
  }
}
