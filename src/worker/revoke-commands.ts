import { TaskRevokedError } from '../errors.ts';
import { revokedRecord } from '../app/follow-up.ts';
import { pyRepr } from '../protocol/repr.ts';
import { toIso } from '../protocol/time.ts';
import type { Command, Commanded } from './control-commands.ts';
import type { WorkerParts } from './parts.ts';
import { viewOf, type Request } from './request.ts';
import { valuesOf } from './revoked.ts';

/* Remote control that keeps tasks from running (spec: worker-semantics.md 7). Replies are Celery's, to the letter. */

type Arguments = Readonly<Record<string, unknown>>;

const ok = (text: string): { ok: string } => ({ ok: text });

function ids(value: unknown): string[] {
  return valuesOf(value).filter((id): id is string => typeof id === 'string');
}

function* everyRequest(worker: Commanded): Generator<Request> {
  yield* worker.held;
  yield* worker.executor.waiting;
  yield* worker.executor.running;
}

function revoke(worker: Commanded, args: Arguments): unknown {
  const { parts } = worker;
  const wanted = ids(args['task_id']);
  const terminate = args['terminate'] === true;
  const signum = terminate ? signalNumber(args['signal']) : null;
  const ended: string[] = [];
  const known = new Map<string, Request>();
  for (const request of everyRequest(worker)) known.set(request.id, request);
  for (const id of wanted) {
    parts.revoked.add(id);
    const request = known.get(id);
    if (terminate && request && request.state !== 'over') ended.push(id);
    withdraw(worker, request, id, signum);
  }
  if (terminate) return ok(ended.length === 0 ? 'terminate: tasks unknown' : `terminate: ${ended.join(', ')}`);
  parts.log.info({ taskIds: wanted }, 'tasks flagged as revoked');
  return ok(`tasks {${wanted.map((id) => pyRepr(id)).join(', ')}} flagged as revoked`);
}

/** @param signum null: what runs goes on */
function withdraw(worker: Commanded, request: Request | undefined, id: string, signum: number | null): void {
  if (request?.state === 'held') return worker.dropHeld(request, signum);
  if (request && signum !== null) worker.executor.terminate(request, signum);
  // One that waits for a slot is met there; whoever waits for it is told at once.
  if (request?.state !== 'running') void storeRevoked(worker.parts, id, request);
}

/** Whoever waits for the task is told at once, not when the message is met. */
async function storeRevoked(parts: WorkerParts, id: string, request: Request | undefined): Promise<void> {
  if (request?.state === 'over') return;
  try {
    if (request) {
      const view = viewOf(request.delivery, request.headers, request.body, parts.hostname);
      if (request.storesErrors) await parts.backend.store(revokedRecord(parts.app, view, 'revoked'));
      return;
    }
    const error = new TaskRevokedError('revoked');
    await parts.backend.store({
      taskId: id,
      status: 'REVOKED',
      result: { exc_type: error.type, exc_message: error.args, exc_module: error.module },
      traceback: null,
      children: [],
      dateDone: toIso(parts.app.clock.now(), parts.app.conf.timezone ?? null),
    });
  } catch (error) {
    parts.log.error({ error, taskId: id }, 'the revocation could not be stored');
  }
}

/** `{ name: value or values }`, or the command line's `["name=value"]`. */
function stampsOf(headers: unknown): Record<string, unknown> {
  if (Array.isArray(headers)) {
    const pairs = headers.map((text) => {
      const [name, value] = String(text).split('=');
      if (value === undefined) throw new TypeError(`expected name=value, got ${pyRepr(text)}`);
      return [name, value] as const;
    });
    return Object.fromEntries(pairs);
  }
  if (typeof headers === 'object' && headers !== null) return headers as Record<string, unknown>;
  throw new TypeError(`expected stamps by name, got ${pyRepr(headers)}`);
}

function revokeByStamp(worker: Commanded, args: Arguments): unknown {
  const { parts, executor } = worker;
  const stamps = stampsOf(args['headers']);
  for (const [name, values] of Object.entries(stamps)) parts.revoked.addStamp(name, values);
  const terminate = args['terminate'] === true;
  const signum = terminate ? signalNumber(args['signal']) : null;
  for (const request of [...worker.held]) {
    if (parts.revoked.covers(request.headers)) worker.dropHeld(request, signum);
  }
  for (const request of executor.waiting) {
    if (parts.revoked.covers(request.headers)) void storeRevoked(parts, request.id, request);
  }
  if (signum === null) return ok(`headers ${pyRepr(stamps)} flagged as revoked, but not terminated`);
  const ended = new Map<string, Set<unknown>>();
  for (const request of [...executor.running]) {
    const shared = sharedStamps(request, stamps);
    if (shared.length === 0) continue;
    for (const [name, value] of shared) {
      ended.set(name, (ended.get(name) ?? new Set()).add(value));
    }
    parts.log.info({ taskId: request.id, stamps, signum }, 'terminating by stamp');
    executor.terminate(request, signum);
  }
  if (ended.size === 0) return ok(`headers ${pyRepr(stamps)} were not terminated`);
  const shown = [...ended].map(([name, values]) => `${pyRepr(name)}: {${[...values].map(pyRepr).join(', ')}}`);
  return ok(`headers defaultdict(<class 'set'>, {${shown.join(', ')}}) revoked`);
}

function sharedStamps({ headers }: Request, stamps: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(stamps).flatMap(([name, wanted]) => {
    const own = valuesOf(headers.stamps[name]);
    return valuesOf(wanted)
      .filter((value) => own.includes(value))
      .map((value): [string, unknown] => [name, value]);
  });
}

const SIGNALS: Readonly<Record<string, number>> = {
  SIGTERM: 15,
  SIGKILL: 9,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGHUP: 1,
  SIGABRT: 6,
  SIGUSR1: 10,
  SIGUSR2: 12,
};

function signalNumber(signal: unknown): number {
  if (typeof signal === 'number') return signal;
  const name = typeof signal === 'string' ? signal.toUpperCase() : 'SIGTERM';
  return SIGNALS[name.startsWith('SIG') ? name : `SIG${name}`] ?? 15;
}

export const REVOKE_COMMANDS: Readonly<Record<string, Command>> = {
  revoke,
  terminate: (worker, args) => revoke(worker, { ...args, terminate: true }),
  revoke_by_stamped_headers: revokeByStamp,
};
