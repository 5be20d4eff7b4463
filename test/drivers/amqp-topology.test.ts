import { readFileSync } from 'node:fs';
import { connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Celery, OperationalError, type CeleryOptions } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { missing } from '../support/available.ts';
import { startRabbit, type RabbitServer } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';
import { failure } from './amqp-support.ts';

/*
 * What a worker, a client that awaits a result and an event stream declare on a fresh virtual host, beside what real
 * Celery 5.6 declared in the same situation (test/vectors/5.6/topology). Names with ids in them are told apart by what
 * they are for. Consumer tags, the order of rows and numbers of messages are nobody's business.
 *
 * Intended differences, and there are no others:
 *
 * - The reply queue has a consumer from the first message on; Celery's has one only while somebody waits.
 * - The levels of delayed delivery count for every queue; see test/interop for direct exchanges.
 */

type Row = Readonly<Record<string, unknown>>;
interface Topology {
  readonly queues: readonly Row[];
  readonly exchanges: readonly Row[];
  readonly bindings: readonly Row[];
  readonly consumers: readonly Row[];
}

interface Publish {
  readonly method: string;
  readonly content: { readonly properties: Row; readonly headers: Row };
}

function vector(name: string): Topology & { readonly client_methods: readonly Publish[] } {
  const path = new URL(`../vectors/5.6/topology/${name}.json`, import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { raw: ReturnType<typeof vector> }).raw;
}

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

/** RabbitMQ 4 writes it down itself where nobody named a type. Its three words are in order already. */
const isDefaultType = (argument: unknown): boolean =>
  JSON.stringify(argument) === '["classic","longstr","x-queue-type"]';

/** Rows under names that are the same on both sides, sorted, without what the list above leaves out. */
function comparable({ queues, exchanges, bindings, consumers: all }: Topology, windows = true): Topology {
  // From RabbitMQ 4 on each consumer has its own.
  const consumers = windows ? all : all.map((row) => ({ ...row, prefetch_count: 0 }));
  const gossips = queues
    .filter(
      ({ name, arguments: args }) => String(name).startsWith('celeryev.') && JSON.stringify(args).includes(',2000]'),
    )
    .map(({ name }) => String(name));
  const clean = (rows: readonly Row[], key: string): Row[] =>
    rows
      .map((row) => {
        const { messages: _messages, consumer_tag: _tag, ...rest } = row;
        const named = gossips.reduce((text, one) => text.replaceAll(one, 'celeryev.GOSSIP'), JSON.stringify(rest));
        const text = named
          .replace(new RegExp(`celeryev\\.${UUID}`, 'g'), 'celeryev.RECEIVER')
          .replace(new RegExp(UUID, 'g'), 'OID')
          // What the broker says of quorum queues, which cannot be exclusive.
          .replace('"exclusive":""', '"exclusive":false');
        return JSON.parse(text, (_key, value: unknown) =>
          Array.isArray(value) ? value.filter((one) => !isDefaultType(one)).toSorted(byText) : value,
        ) as Row;
      })
      .filter((row) => !String(row[key]).endsWith('.reply.celery.pidbox'))
      .sort(byText);
  return {
    queues: clean(queues, 'name'),
    exchanges: clean(exchanges, 'name'),
    bindings: clean(bindings, 'destination_name'),
    consumers: clean(consumers, 'queue_name').filter((row) => row['queue_name'] !== 'OID'),
  };
}

const CASES: readonly (readonly [string, CeleryOptions])[] = [
  ['classic', {}],
  ['priorities', { taskQueueMaxPriority: 10 }],
  ['quorum', { taskDefaultQueueType: 'quorum', taskDefaultExchangeType: 'topic', taskDefaultRoutingKey: 'celery' }],
];

const reason = missing('rabbitmq');

describe.skipIf(reason !== undefined)(`topology${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let server: RabbitServer;
  let sharesWindow: boolean;
  beforeAll(async () => {
    server = await startRabbit();
    sharesWindow = Number.parseInt(await server.ctl('version'), 10) < 4;
  });
  afterAll(() => server?.stop());

  async function topologyOf(vhost: string): Promise<Topology> {
    const list = (what: string, ...columns: string[]): Promise<Row[]> => server.list<Row>(what, vhost, ...columns);
    const queues = ['name', 'durable', 'auto_delete', 'exclusive', 'arguments', 'type'];
    const bindings = ['source_name', 'source_kind', 'destination_name', 'destination_kind', 'routing_key', 'arguments'];
    return {
      queues: await list('list_queues', ...queues),
      exchanges: (
        await list('list_exchanges', 'name', 'type', 'durable', 'auto_delete', 'internal', 'arguments')
      ).filter(({ name }) => name !== '' && !String(name).startsWith('amq.')),
      bindings: await list('list_bindings', ...bindings),
      consumers: await list('list_consumers', 'queue_name', 'ack_required', 'prefetch_count', 'arguments'),
    };
  }

  test.each(CASES)(
    '%s: worker, client and receiver declare what Celery declares',
    { timeout: 120_000 },
    async (name, options) => {
      const broker = await server.vhost();
      const app = new Celery({ ...options, broker, backend: 'rpc://', env: {} });
      app.task('t.add', (x: number, y: number) => x + y);
      const worker = new Worker(app, { hostname: 'w1@HOST', concurrency: 1 });
      const stop = new AbortController();
      const events = app.events({ signal: stop.signal });
      const reading = (async () => {
        for await (const _ of events);
      })().catch(() => {});
      try {
        await worker.start();
        expect(await (await app.send('t.add', [2, 3])).get({ timeout: '30s' })).toBe(5);
        await app.control.inspect({ timeout: '1s' }).ping();
        const expected = comparable(vector(name), sharesWindow);
        const vhost = decodeURIComponent(new URL(broker).pathname.slice(1));
        let found: Topology | undefined;
        // The levels of delayed delivery are declared beside the worker's start, the receiver's queue beside the rest.
        await until(
          async () => {
            found = comparable(await topologyOf(vhost), sharesWindow);
            return found.bindings.length >= expected.bindings.length && found.queues.length >= expected.queues.length;
          },
          { message: 'everything is declared', timeoutMs: 30_000 },
        ).catch(() => {});
        expect(found).toEqual(expected);
      } finally {
        stop.abort();
        await reading;
        await worker.stop('cold');
        await app.close();
      }
    },
  );

  test('a task message has the properties and headers of Celery’s, on the wire', async () => {
    const broker = await server.vhost();
    const app = new Celery({ broker, backend: 'rpc://', env: {} });
    const link = await connect(broker);
    try {
      await app.send('t.add', [2, 3]);
      const channel = await link.createChannel();
      const message = await channel.get('celery', { noAck: true });
      if (message === false) throw new Error('expected a message');
      const publish = vector('classic').client_methods.find(
        ({ method, content }) => method === 'Basic.Publish' && content.properties['reply_to'] !== undefined,
      );
      const snake = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      const own = Object.entries(message.properties)
        .filter(([key, value]) => key !== 'headers' && value !== undefined)
        .map(([key, value]) => [snake(key), value] as const);
      if (publish === undefined) throw new Error('expected a message with a reply address in the vector');
      const { properties, headers } = publish.content;
      expect(own.map(([key]) => key).sort()).toEqual(Object.keys(properties).sort());
      expect(Object.fromEntries(own)).toMatchObject({
        priority: properties['priority'],
        content_type: properties['content_type'],
        content_encoding: properties['content_encoding'],
        delivery_mode: properties['delivery_mode'],
        reply_to: app.oid,
      });
      // RabbitMQ 4 sorts them.
      expect(Object.keys(message.properties.headers ?? {}).sort()).toEqual(Object.keys(headers).sort());
    } finally {
      await link.close();
      await app.close();
    }
  });

  test('a user who may create nothing works with what others made (users 39)', { timeout: 120_000 }, async () => {
    const broker = await server.vhost();
    const vhost = decodeURIComponent(new URL(broker).pathname.slice(1));
    const settings: CeleryOptions = { backend: 'disabled://', env: {}, taskDefaultQueueType: 'quorum' };
    const alone = { withoutGossip: true, withoutMingle: true, withoutHeartbeat: true };
    await using owner = new Celery({ ...settings, broker });
    const first = new Worker(owner, alone);
    await first.start();
    const levels = async (): Promise<boolean> => {
      const rows = await server.list<{ name: string }>('list_exchanges', vhost, 'name');
      return rows.some(({ name }) => name === 'celery_delayed_delivery');
    };
    await until(levels, { message: 'the levels are declared', timeoutMs: 60_000 });
    await first.stop('warm');

    await server.ctl('-q', 'add_user', 'tenant', 'secret');
    await server.ctl('-q', 'set_permissions', '-p', vhost, 'tenant', '^$', '.*', '.*');
    const before = await topologyOf(vhost);
    const locked = (declare?: string): Celery =>
      new Celery({
        ...settings,
        broker: broker.replace('guest:guest@', 'tenant:secret@'),
        workerEnableRemoteControl: false,
        brokerTransportOptions: { ...(declare !== undefined && { declare }) },
      });
    await using refused = locked();
    const error = await failure(refused.send('any'));
    expect(error).toBeInstanceOf(OperationalError);
    expect((error as Error).message).toMatch(/may not be created: ACCESS_REFUSED.*"passive"/);

    for (const mode of ['passive', 'never']) {
      await using app = locked(mode);
      const runs: { readonly at: number; readonly waitedInBroker: boolean }[] = [];
      app.task('note', { bind: true, ignoreResult: true }, (ctx) => {
        runs.push({ at: Date.now(), waitedInBroker: ctx.request.headers?.['x-death'] !== undefined });
      });
      const worker = new Worker(app, { ...alone, hostname: `${mode}@test` });
      await worker.start();
      try {
        await app.send('note');
        await until(() => runs.length === 1, { message: `it runs (${mode})`, timeoutMs: 30_000 });
        const dueMs = Date.now() + 2500;
        await app.send('note', [], { eta: new Date(dueMs) });
        await until(() => runs.length === 2, { message: `it runs later (${mode})`, timeoutMs: 30_000 });
        expect(runs[1]?.at).toBeGreaterThanOrEqual(dueMs);
        expect(runs.map(({ waitedInBroker }) => waitedInBroker)).toEqual([false, true]);
        if (mode === 'passive') {
          const absent = await failure(app.send('note', [], { queue: 'absent' }));
          expect((absent as Error).message).toMatch(/exchange "absent" does not exist.*passive/);
        }
      } finally {
        await worker.stop('cold');
      }
    }
    const after = await topologyOf(vhost);
    for (const kind of ['queues', 'exchanges'] as const)
      expect(comparable(after)[kind]).toEqual(comparable(before)[kind]);
  });
});
