import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery, Reject } from '../../src/index.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { sleep, systemClock } from '../../src/runtime/clock.ts';
import { loads } from '../../src/serializers/json.ts';
import { Worker } from '../../src/worker/index.ts';
import { until } from '../support/until.ts';

/*
 * The events that Celery 5.6 sent in each recorded situation (test/vectors), and those that ours sends in the same
 * situation: the same types, the same fields in the same order, the same values where they are not of the moment.
 */

type Event = Readonly<Record<string, unknown>>;
interface Sent {
  readonly routingKey: string;
  readonly body: Event | readonly Event[];
}

const FOLDER = fileURLToPath(new URL('../vectors/5.6/events/redis/', import.meta.url));

/** Messages to the exchange of events, anywhere in a vector. */
function messagesIn(value: unknown): Sent[] {
  if (Array.isArray(value)) return value.flatMap(messagesIn);
  if (typeof value !== 'object' || value === null) return [];
  const { decoded_body: body, command } = value as { decoded_body?: Sent['body']; command?: string[] };
  const first = Array.isArray(body) ? (body as readonly unknown[])[0] : body;
  if (typeof first === 'object' && first !== null && 'timestamp' in first) {
    const text = command?.find((word) => word.startsWith('{"body"')) ?? '{}';
    const { properties } = loads(text) as { properties?: { delivery_info?: { routing_key?: string } } };
    return [{ routingKey: properties?.delivery_info?.routing_key ?? '', body: body as Sent['body'] }];
  }
  return Object.values(value).flatMap(messagesIn);
}

const vectors = new Map(
  readdirSync(FOLDER).map((file) => {
    const { raw } = loads(readFileSync(`${FOLDER}${file}`, 'utf8')) as { raw: unknown };
    return [file.slice(0, -5), messagesIn(raw)] as const;
  }),
);

/** Values of the moment, and those whose text belongs to the language. */
const VOLATILE = new Set([
  'hostname',
  'pid',
  'clock',
  'timestamp',
  'utcoffset',
  'runtime',
  'eta',
  'expires',
  'loadavg',
]);
const OF_THE_LANGUAGE = new Set(['traceback', 'sw_ident', 'sw_ver', 'processed', 'active', 'freq']);

/** Types in place of what belongs to a moment or a language; the order of fields counts. */
function shape(event: Event): readonly (readonly [string, unknown])[] {
  return Object.entries(event).map(([name, value]) => [
    name,
    (VOLATILE.has(name) || OF_THE_LANGUAGE.has(name)) && value !== null ? typeof value : value,
  ]);
}

const flat = (sent: readonly Sent[]): Event[] => sent.flatMap(({ body }) => body);
const ofTasks = (sent: readonly Sent[]): Event[] => flat(sent).filter(({ type }) => String(type).startsWith('task-'));

/** By task and type, because the order between a producer and a worker is nobody's. */
function sorted(events: readonly Event[]): unknown[] {
  const key = ({ uuid, type, retries }: Event): string => `${String(uuid)} ${String(type)} ${String(retries ?? '')}`;
  return events.map((event) => [key(event), shape(event)] as const).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

const sent: Sent[] = [];
let app: Celery;
let worker: Worker;

beforeAll(async () => {
  app = new Celery({
    preset: 'celery',
    broker: 'memory://',
    backend: 'memory://',
    taskSendSentEvent: true,
    etaHorizon: null,
    log: silentLogger,
    env: {},
  });
  const add = app.task('vec.add', (x: number, y: number) => x + y);
  app.task('vec.mul', (x: number, y: number) => x * y);
  app.task('vec.echo', { params: ['text', 'k'] }, (text: string, k: number) => ({ args: [text], kwargs: { k } }));
  app.task('vec.fail_custom', () => {
    throw Object.assign(new Error("42, 'déjà vu'"), { name: 'CustomError' });
  });
  app.task('vec.hard_limit', { timeLimit: '100ms' }, () => sleep(systemClock, 60_000));
  app.task('vec.reject', { acksLate: true }, () => {
    throw new Reject('no');
  });
  app.task('vec.retry_once', { bind: true }, (ctx, text: string) => {
    if (ctx.retries === 0) throw ctx.retry({ countdown: '300ms', cause: new Error('not yet') });
    return [text, ctx.retries];
  });
  app.task('vec.sleep', (seconds: number) => sleep(systemClock, seconds * 1000));
  app.task('vec.replaced', { bind: true }, (ctx, x: number, y: number) => ctx.replace(add.s(x, y)));
  // The broker would drop what has expired before the worker sees it.
  app.on('beforePublish', ({ properties }) => void delete properties['expiration']);
  const publish = app.publisher.publishRaw.bind(app.publisher);
  app.publisher.publishRaw = (message, to, options) => {
    if (to.exchange === 'celeryev') {
      sent.push({ routingKey: to.routingKey, body: loads(Buffer.from(message.body).toString()) as Sent['body'] });
    }
    return publish(message, to, options);
  };
  worker = new Worker(app, { hostname: 'w1@HOST', concurrency: 4, taskEvents: true, heartbeatInterval: '2s' });
  await worker.start();
});

afterAll(async () => {
  await worker.stop('cold');
  await app.close();
});

/** What each situation is made of; resolves when all has been asked for. */
const SITUATIONS: Readonly<Record<string, () => Promise<unknown>>> = {
  success: () => app.send('vec.add', [2, 3], { taskId: 'e-ok' }),
  kwargs_unicode: () => app.send('vec.echo', ['håå'], { taskId: 'e-uni', kwargs: { k: 1 } }),
  failure: () => app.send('vec.fail_custom', [], { taskId: 'e-fail' }),
  retry: () => app.send('vec.retry_once', ['x'], { taskId: 'e-retry' }),
  eta_expires: () => app.send('vec.add', [1, 2], { taskId: 'e-eta', countdown: '100ms', expires: '1h' }),
  expired: () => app.send('vec.add', [1, 2], { taskId: 'e-expired', expires: -1000 }),
  revoked: async () => {
    await app.control.revoke('e-rev', { reply: true, limit: 1, timeout: '10s' });
    await app.send('vec.add', [1, 2], { taskId: 'e-rev' });
  },
  terminated: async () => {
    await app.send('vec.sleep', [60], { taskId: 'e-term' });
    await until(() => flat(sent).some(({ uuid, type }) => uuid === 'e-term' && type === 'task-started'));
    await app.control.terminate('e-term', { signal: 'SIGKILL', reply: true, limit: 1, timeout: '10s' });
  },
  unknown_task: () => app.send('no.such', [], { taskId: 'e-unknown' }),
  rejected: () => app.send('vec.reject', [], { taskId: 'e-rej' }),
  hard_limit: () => app.send('vec.hard_limit', [], { taskId: 'e-hard' }),
  replaced: () => app.send('vec.replaced', [1, 2], { taskId: 'e-repl' }),
};

/** What differs on purpose. */
function intended(event: Event): Event {
  // Celery shows the wrapper of its pool; ours the error itself.
  if (event['exception'] === 'ExceptionWithTraceback()') return { ...event, exception: 'TimeLimitExceeded(0.1)' };
  const { exception } = event;
  if (exception === "CustomError(42, 'déjà vu')") return { ...event, exception: `CustomError("42, 'déjà vu'")` };
  if (exception === "RuntimeError('not yet')") return { ...event, exception: "Error('not yet')" };
  return event;
}

describe('task events', () => {
  test.each(Object.entries(SITUATIONS))('%s', async (name, happen) => {
    const theirs = ofTasks(vectors.get(name) ?? []).map(intended);
    expect(theirs.length).toBeGreaterThan(1);
    await happen();
    const ids = new Set(theirs.map(({ uuid }) => uuid));
    const ours = (): Event[] => ofTasks(sent).filter(({ uuid }) => ids.has(uuid));
    await until(() => ours().length >= theirs.length, { message: 'as many events' }).catch(() => {});
    expect(sorted(ours())).toEqual(sorted(theirs));
  });
});

test('task events travel in lists on task.multi, all others alone on a key of their own', () => {
  const theirs = [...vectors.values()].flat();
  for (const { routingKey, body } of [...theirs, ...sent]) {
    if (Array.isArray(body)) {
      expect(routingKey).toBe('task.multi');
      expect((body as Event[]).every(({ type }) => String(type).startsWith('task-'))).toBe(true);
    } else expect(routingKey).toBe(String((body as Event)['type']).replaceAll('-', '.'));
  }
  // What producers send about a call is no list, with either.
  for (const side of [theirs, sent]) {
    expect(side.filter(({ body }) => Array.isArray(body)).length).toBeGreaterThan(5);
    expect(side.some(({ body }) => !Array.isArray(body) && (body as Event)['type'] === 'task-sent')).toBe(true);
  }
});

test('worker events', async () => {
  const types = ['worker-online', 'worker-heartbeat', 'worker-offline'];
  await until(() => flat(sent).some(({ type }) => type === 'worker-heartbeat'), { message: 'a heartbeat' });
  await worker.stop();
  const first = (events: readonly Event[], type: string): unknown => {
    const found = events.find((event) => event['type'] === type);
    return found && shape(found);
  };
  const theirs = flat([...vectors.values()].flat());
  for (const type of types) {
    const [expected, found] = [first(theirs, type), first(flat(sent), type)];
    expect(expected).toBeDefined();
    expect(found).toEqual(expected);
  }
  expect(flat(sent).find(({ type }) => type === 'worker-online')).toMatchObject({ freq: 2, active: 0 });
});
