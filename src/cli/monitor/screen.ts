import type { ClusterState } from '../../events/cluster-state.ts';
import type { TaskState } from '../../events/task-state.ts';
import type { Paint } from '../io.ts';

/** What the person looks at. */
export interface View {
  /** Id of the selected task. */
  readonly selected: string | undefined;
  readonly details: boolean;
  /** What is being typed, and for what. */
  readonly prompt: string | undefined;
  /** What the last key led to. */
  readonly message: string;
  readonly columns: number;
  readonly rows: number;
  readonly nowSeconds: number;
}

/** Rows of the screen that are not tasks. */
const HEAD_ROWS = 3;
const FOOT_ROWS = 2;

/** Names and arguments come from anywhere: on the screen they move no cursor. */
export function escapeControls(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Cut or filled up to a width. */
function cell(text: string, width: number): string {
  const plain = escapeControls(text);
  return plain.length > width ? `${plain.slice(0, Math.max(0, width - 1))}…` : plain.padEnd(width);
}

function clock(seconds: number | null): string {
  return seconds === null ? '' : new Date(seconds * 1000).toISOString().slice(11, 19);
}

/** How many tasks fit. */
export function roomFor(state: ClusterState, { rows, nowSeconds }: Pick<View, 'rows' | 'nowSeconds'>): number {
  const workers = Math.min(5, state.aliveWorkers(nowSeconds).length);
  return Math.max(1, rows - HEAD_ROWS - FOOT_ROWS - workers);
}

/** The whole screen, a line for each row. */
export function draw(state: ClusterState, view: View, paint: Paint): string[] {
  const { columns, rows, nowSeconds } = view;
  const workers = state.aliveWorkers(nowSeconds);
  const lines = [
    paint.strong(cell(`celeriac: ${workers.length} workers, ${state.tasks.size} tasks seen`, columns)),
    ...workers.slice(0, 5).map((worker) => workerLine(worker, columns)),
  ];
  const selected = view.selected === undefined ? undefined : state.tasks.peek(view.selected);
  if (view.details && selected !== undefined) lines.push('', ...details(selected, columns));
  else {
    const width = taskWidths(columns);
    lines.push('', paint.faint(row(['UUID', 'TASK', 'WORKER', 'TIME', 'STATE'], width)));
    for (const task of state.tasksByTime({ limit: roomFor(state, view) })) {
      const line = row(
        [task.uuid, task.name ?? '?', task.worker?.hostname ?? '', clock(task.timestamp), task.state],
        width,
      );
      lines.push(task.uuid === view.selected ? `\u001b[7m${line}\u001b[27m` : coloured(task, line, paint));
    }
  }
  const body = lines.slice(0, rows - FOOT_ROWS);
  while (body.length < rows - FOOT_ROWS) body.push('');
  const keys = '↑↓ select · i details · r revoke · l rate limit · c clear · q quit';
  return [...body, cell(view.prompt ?? view.message, columns), paint.faint(cell(keys, columns))];
}

function workerLine(worker: ReturnType<ClusterState['aliveWorkers']>[number], columns: number): string {
  const { hostname, active, processed, loadavg } = worker;
  const load = loadavg === null ? '' : ` load ${loadavg.map((one) => one.toFixed(2)).join(' ')}`;
  return cell(`  ${hostname}  active ${active ?? '?'}  processed ${processed ?? '?'}${load}`, columns);
}

function taskWidths(columns: number): number[] {
  const uuid = Math.min(36, Math.max(8, columns - 60));
  const rest = Math.max(20, columns - uuid - 8 - 9 - 4);
  return [uuid, Math.ceil(rest * 0.55), Math.floor(rest * 0.45), 8, 9];
}

function row(cells: readonly string[], widths: readonly number[]): string {
  return cells.map((text, index) => cell(text, widths[index] as number)).join(' ');
}

function coloured({ state }: TaskState, line: string, paint: Paint): string {
  if (state === 'SUCCESS') return paint.good(line);
  if (state === 'FAILURE' || state === 'REJECTED') return paint.bad(line);
  return state === 'RETRY' || state === 'REVOKED' ? paint.warning(line) : line;
}

function details(task: TaskState, columns: number): string[] {
  const fields: (keyof TaskState)[] = [
    ...(['uuid', 'name', 'state', 'args', 'kwargs', 'result', 'exception', 'runtime', 'retries'] as const),
    ...(['eta', 'expires', 'queue', 'root_id', 'parent_id', 'traceback'] as const),
  ];
  return fields.flatMap((name) => {
    const value = task[name];
    if (value === null || value === undefined) return [];
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
    return text
      .split('\n')
      .map((line, index) => cell(`${index === 0 ? name.padEnd(10) : ' '.repeat(10)} ${line}`, columns));
  });
}
