import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Celery } from '../../src/index.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { loads } from '../../src/serializers/json.ts';
import { Worker } from '../../src/worker/index.ts';
import { until } from '../support/until.ts';

/*
 * Every exchange of remote control that was recorded from Celery 5.6 (test/vectors): the same request, sent to a worker
 * of ours in the same situation, has the same answer, field by field. What differs is listed here with its reason.
 */

type Dict = Readonly<Record<string, unknown>>;
interface Exchange {
  readonly name: string;
  readonly method: string;
  readonly args: Dict;
  /** To whom it is. */
  readonly target: { readonly destination: unknown; readonly pattern: unknown; readonly matcher: unknown };
  readonly answer: unknown;
  readonly clock: number;
}

const FOLDER = fileURLToPath(new URL('../vectors/5.6/control/redis/', import.meta.url));
const NODE = 'w1@HOST';

function exchanges(): Exchange[] {
  const found = readdirSync(FOLDER).flatMap((file): Exchange[] => {
    const vector = loads(readFileSync(`${FOLDER}${file}`, 'utf8')) as { raw: { commands?: unknown } };
    const commands = (Array.isArray(vector.raw.commands) ? vector.raw.commands : []) as {
      command: string[];
      decoded_body?: Dict;
    }[];
    const request = commands.find(({ decoded_body: body }) => body !== undefined && 'method' in body);
    const answer = commands.find(({ decoded_body: body }) => body !== undefined && NODE in body);
    if (!request?.decoded_body || !answer?.decoded_body) return [];
    const { headers } = loads(request.command.at(-1) ?? '') as { headers: { clock: number } };
    const {
      method,
      arguments: args,
      destination,
      pattern,
      matcher,
    } = request.decoded_body as {
      method: string;
      arguments: Dict;
    } & Exchange['target'];
    const target = { destination, pattern, matcher };
    return [{ name: file.slice(0, -5), method, args, target, answer: answer.decoded_body[NODE], clock: headers.clock }];
  });
  // It stops our worker for the seconds that a snapshot of its heap takes.
  return found.filter(({ method }) => method !== 'objgraph').sort((a, b) => a.clock - b.clock);
}

const all = exchanges();
const answers = new Map<string, unknown>();
const registered = (all.find(({ name }) => name === 'registered')?.answer ?? []) as string[];
let app: Celery;
let worker: Worker;

/** Broadcasts as Python sends it, and keeps what our worker answers. */
beforeAll(async () => {
  app = new Celery({
    preset: 'celery',
    broker: 'memory://',
    backend: 'memory://',
    etaHorizon: null,
    log: silentLogger,
    env: {},
  });
  for (const name of registered) {
    app.task(name.replace(/ \[.*/, ''), (ms?: number) => (name === 'vec.sleep' ? new Promise(() => ms) : ms));
  }
  worker = new Worker(app, { hostname: NODE, pool: 'async', concurrency: 1 });
  await worker.start();
  await app.send('vec.sleep', [120], { taskId: 'v-active' });
  await until(() => worker.active === 1, { message: 'it runs' });
  await app.send('vec.sleep', [1], { taskId: 'v-reserved', shadow: 'shown' });
  await app.send('vec.add', [1, 2], { taskId: 'v-scheduled', countdown: '1h', priority: 3 });
  await until(() => worker.vitals?.held === 1 && worker.vitals.waiting === 1, { message: 'all are here' });
  for (const { name, method, args } of all) {
    const [reply] = await app.control.broadcast(method, args, { reply: true, limit: 1, timeout: '10s' });
    answers.set(name, reply?.value);
  }
});

afterAll(async () => {
  await worker.stop('cold');
  await app.close();
});

test('there are enough of them', () => {
  expect(all.length).toBeGreaterThan(45);
});

/** Fields whose value belongs to one process and moment: only its type is compared. */
const VOLATILE = new Set(
  ['clock', 'pid', 'worker_pid', 'processes', 'time_start', 'uptime', 'eta', 'rusage', 'hostname', 'port'].concat(
    ...['virtual_host', 'transport', 'implementation', 'broker_url', 'result_backend'],
  ),
);

/** The same with types in place of what belongs to one process and moment. */
function comparable(value: unknown, key = ''): unknown {
  if (key === 'hostname' && String(value).startsWith('w1@')) return value;
  if (VOLATILE.has(key) && value !== null) return kind(value);
  if (Array.isArray(value)) return value.map((one) => comparable(one));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, comparable(one, name)]));
}

/** Names of its fields where it has some. */
function kind(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return typeof value;
  return Array.isArray(value) ? value.map(kind) : Object.keys(value).sort();
}

const without = (value: unknown, ...names: string[]): Dict =>
  Object.fromEntries(Object.entries(value as Dict).filter(([name]) => !names.includes(name)));

/** What differs, why, and what is the same all the same: both answers as they are compared. */
const DIFFERENT: Readonly<Record<string, (theirs: never, ours: never) => readonly [unknown, unknown]>> = {
  // No port in memory. Their pool writes to pipes; ours adds what it has counted, under a key of its own.
  stats: (theirs: Dict, ours: Dict) => [
    { ...without(theirs, 'pool', 'broker'), pool: without(theirs['pool'], 'writes', 'put-guarded-by-semaphore') },
    { ...without(ours, 'pool', 'broker', 'celeriac'), pool: without(ours['pool'], 'put-guarded-by-semaphore') },
  ],
  // Free text, with the same sections.
  report: (theirs: { ok: string }, ours: { ok: string }) => {
    const sections = ({ ok }: { ok: string }): unknown =>
      ['software', 'platform', 'settings'].map((name) => new RegExp(`^${name} +-> `, 'm').test(ok));
    return [sections(theirs), sections(ours)];
  },
  // What each of the two apps has set.
  conf: (theirs: Dict, ours: Dict) => {
    const same = ['broker_url', 'result_backend'];
    return [same.map((name) => typeof theirs[name]), same.map((name) => typeof ours[name])];
  },
  // Ours has more settings; hides secrets by what they are, not by letters in their name; durations are numbers.
  conf_with_defaults: (theirs: Dict, ours: Dict) => {
    const named = Object.entries(theirs).filter(
      ([name, value]) => value !== '********' && !['deprecated_settings', 'include', 'result_expires'].includes(name),
    );
    return [Object.fromEntries(named), Object.fromEntries(named.map(([name]) => [name, ours[name]]))];
  },
  // Ours are all alike here.
  registered_info: (theirs: string[], ours: string[]) => [theirs[0], ours[0]],
  // Python looks at what is reserved and forgets what waits for its time.
  query_task: (theirs: Dict, ours: Dict) => [theirs, without(ours, 'v-scheduled')],
  memsample: (theirs: string, ours: string) => [/^[\d.]+MB$/.test(theirs), /^[\d.]+MB$/.test(ours)],
  memdump: (theirs: string, ours: string) => {
    const first = (text: string): string =>
      text
        .replace(/[\d.]+MB/g, 'N')
        .split('\n')
        .slice(0, 3)
        .join();
    return [first(theirs), first(ours)];
  },
  // Times of revocation are the worker's own: Python keeps what another one said, and takes it for its own clock.
  hello_revoked: (theirs: { revoked: Dict }, ours: { revoked: Dict }) => {
    const shape = ({ revoked }: { revoked: Dict }): unknown =>
      Object.entries(revoked).map(([id, told]) => [id, typeof (told as unknown[])[0], (told as unknown[])[1]]);
    return [shape(theirs), shape(ours)];
  },
  // Says what would have been right.
  rate_limit_invalid: (theirs: { error: string }, ours: { error: string }) => {
    const begin = ({ error }: { error: string }): string =>
      error.slice(0, 'Invalid rate limit string: ValueError('.length);
    return [begin(theirs), begin(ours)];
  },
  // Ours waits for a busy child and lets it go then.
  pool_shrink: (theirs: Dict, ours: Dict) => [
    Object.keys(theirs),
    ours['ok'] === 'pool will shrink' ? ['error'] : ours,
  ],
};

test.each(all.map(({ name, answer }) => [name, answer] as const))('%s', (name, theirs) => {
  const [expected, found] = DIFFERENT[name]?.(theirs as never, answers.get(name) as never) ?? [
    theirs,
    answers.get(name),
  ];
  expect(comparable(found)).toEqual(comparable(expected));
});

/** What our client sends for the calls that have been recorded. */
const CALLS: Readonly<Record<string, () => Promise<unknown>>> = {
  ping: () => app.control.ping(),
  ping_destination: () => app.control.ping({ destination: [NODE] }),
  ping_pattern: () => app.control.ping({ pattern: 'w*@HOST' }),
  ping_pattern_pcre: () => app.control.ping({ pattern: 'w[0-9]@.*', matcher: 'pcre' }),
  clock: () => app.control.inspect().clock(),
  stats: () => app.control.inspect().stats(),
  conf: () => app.control.inspect().conf(),
  conf_with_defaults: () => app.control.inspect().conf({ withDefaults: true }),
  registered_info: () => app.control.inspect().registered('name', 'rate_limit', 'max_retries', 'acks_late'),
  active_safe: () => app.control.inspect().active({ safe: true }),
  reserved: () => app.control.inspect().reserved(),
  scheduled: () => app.control.inspect().scheduled(),
  revoked: () => app.control.inspect().revoked(),
  active_queues: () => app.control.inspect().activeQueues(),
  query_task: () => app.control.inspect().queryTask('v-active', 'v-scheduled', 'v-unknown'),
  rate_limit: () => app.control.rateLimit('vec.add', '100/m'),
  rate_limit_off: () => app.control.rateLimit('vec.add', null),
  time_limit: () => app.control.timeLimit('vec.add', { soft: '10s', hard: '20s' }),
  enable_events: () => app.control.enableEvents(),
  disable_events: () => app.control.disableEvents(),
  heartbeat: () => app.control.heartbeat(),
  add_consumer: () => app.control.addConsumer('extra'),
  add_consumer_full: () =>
    app.control.addConsumer('extra2', { exchange: 'extra_ex', exchangeType: 'topic', routingKey: 'a.#' }),
  cancel_consumer: () => app.control.cancelConsumer('extra'),
  pool_grow: () => app.control.poolGrow(),
  pool_shrink: () => app.control.poolShrink(),
  pool_restart_disabled: () => app.control.poolRestart(),
  autoscale_disabled: () => app.control.autoscale(4, 1),
  revoke_list: () => app.control.revoke(['v-revoke-2', 'v-revoke-3']),
  revoke_terminate: () => app.control.terminate(['v-active'], { signal: 'SIGKILL' }),
  revoke_by_stamped_headers: () => app.control.revokeByStamp({ mid: ['a', 'b'] }),
  revoke_by_stamped_headers_terminate: () => app.control.revokeByStamp({ mid: ['a'] }, { terminate: true }),
};

test.each(Object.entries(CALLS))('our client sends what Python sends: %s', async (name, call) => {
  const theirs = all.find((one) => one.name === name) as Exchange;
  const sent: Dict[] = [];
  const publish = app.publisher.publishRaw;
  app.publisher.publishRaw = (message) => {
    sent.push(loads(Buffer.from(message.body).toString()) as Dict);
    throw new Error('seen');
  };
  await call().catch(() => {});
  app.publisher.publishRaw = publish;
  const { method, arguments: args, destination, pattern, matcher } = sent[0] as Dict;
  expect({ method, args, destination, pattern, matcher }).toEqual({
    method: theirs.method,
    args: theirs.args,
    ...theirs.target,
  });
});
