import { expect, test } from 'vitest';
import { controlExchange, nodeQueue, replyExchange } from '../messaging/pidbox.ts';
import { decodeControlRequest, encodeControlReply, type ControlRequest } from '../protocol/control.ts';
import { silentLogger } from '../runtime/logger.ts';
import { seededRandom } from '../runtime/random.ts';
import { createSerializers } from '../serializers/registry.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { createTransport } from '../transports/memory.ts';
import type { Connection, Transport } from '../transports/transport.ts';
import type { Celery } from './celery.ts';
import { resolveConfig } from './config.ts';
import { Control } from './control.ts';
import { Lamport } from './lamport.ts';

interface World {
  readonly clock: ManualClock;
  readonly control: Control;
  readonly transport: Transport;
  readonly warnings: string[];
  readonly requests: ControlRequest[];
  /** Starts a worker's mailbox that answers with what `answer` returns; undefined: not at all. */
  node(name: string, answer: (request: ControlRequest) => unknown, replyAs?: string): Promise<Connection>;
}

/** The parts of an app that remote control touches, on the in-process broker. */
function world(capabilities: object = {}): World {
  const clock = new ManualClock();
  const random = seededRandom(1);
  const real = createTransport('memory://', {}, { clock, random, log: silentLogger });
  const transport = new Proxy(real, {
    get: (target, key) =>
      key === 'capabilities' ? { ...target.capabilities, ...capabilities } : bound(target, Reflect.get(target, key)),
  });
  const serializers = createSerializers();
  const conf = resolveConfig({});
  const accept = serializers.acceptSet(conf.acceptContent);
  const warnings: string[] = [];
  const app = {
    clock,
    random,
    serializers,
    conf,
    log: { ...silentLogger, warn: (_fields: object, message: string) => void warnings.push(message) },
    oid: 'client-1',
    lamport: new Lamport(),
    transport: () => Promise.resolve(transport),
    publisher: {
      publishRaw: async (...[message, to, options]: Parameters<Celery['publisher']['publishRaw']>) => {
        const connection = await transport.connect();
        const channel = await connection.channel();
        for (const entity of options?.declares ?? []) await channel.declare(entity);
        await channel.publish(message, to);
        await connection.close();
      },
    },
  } as unknown as Celery;
  const requests: ControlRequest[] = [];
  return {
    clock,
    transport,
    warnings,
    requests,
    control: new Control(app),
    node: async (name, answer, replyAs = name) => {
      const connection = await transport.connect();
      const channel = await connection.channel();
      const queue = nodeQueue(name, 'celery');
      await channel.declare(controlExchange('celery'));
      await channel.declare(replyExchange('celery'));
      await channel.declare(queue);
      await channel.consume(
        queue,
        ({ message }) => {
          const request = decodeControlRequest(message, serializers, accept);
          requests.push(request);
          const value = answer(request);
          if (value === undefined || request.replyTo === undefined) return;
          const { exchange, routingKey } = request.replyTo;
          const reply = encodeControlReply({ node: replyAs, value, ticket: request.ticket, clock: 7 }, (body) =>
            serializers.encode(body, 'json'),
          );
          void channel.publish(reply, { exchange, routingKey });
        },
        { prefetch: 0, noAck: true },
      );
      return connection;
    },
  };
}

function bound(target: object, value: unknown): unknown {
  return typeof value === 'function' ? (value.bind(target) as unknown) : value;
}

test('collects every answer and ends after a silence', async () => {
  const { control, node, clock } = world();
  await node('a@host', () => ({ ok: 'pong' }));
  await node('b@host', () => ({ ok: 'pong' }));
  const asked = control.inspect({ timeout: '1s' }).ping();
  await clock.advance('1s');
  expect(await asked).toEqual({ 'a@host': { ok: 'pong' }, 'b@host': { ok: 'pong' } });
});

test('nobody there: an empty object after the timeout', async () => {
  const { control, clock } = world();
  const asked = control.inspect().active();
  await clock.advance('1s');
  expect(await asked).toEqual({});
});

test('each reply begins the wait anew', async () => {
  const { control, clock, transport } = world();
  const slow = await transport.connect();
  const channel = await slow.channel();
  const queue = nodeQueue('slow@host', 'celery');
  await channel.declare(queue);
  const serializers = createSerializers();
  await channel.consume(
    queue,
    ({ message }) => {
      const { ticket } = decodeControlRequest(message, serializers, serializers.acceptSet(['json']));
      const answer = (name: string): void => {
        const reply = encodeControlReply({ node: name, value: 1, ticket, clock: 1 }, (body) =>
          serializers.encode(body, 'json'),
        );
        void channel.publish(reply, { exchange: 'reply.celery.pidbox', routingKey: 'client-1' });
      };
      for (const after of [800, 1600, 2700]) clock.setTimer(after, () => answer(`after ${after}`));
    },
    { prefetch: 0, noAck: true },
  );
  const asked = control.broadcast('ping', {}, { reply: true });
  await clock.advance('5s');
  expect((await asked).map(({ node }) => node)).toEqual(['after 800', 'after 1600']);
});

test('with destinations it ends with the last of them, without waiting on', async () => {
  const { control, node, requests } = world();
  await node('a@host', () => ({ ok: 'pong' }));
  const replies = await control.ping({ destination: 'a@host' });
  expect(replies).toEqual([{ node: 'a@host', value: { ok: 'pong' } }]);
  expect(requests[0]?.destination).toEqual(['a@host']);
});

test('two questions at the same time get their own answers', async () => {
  const { control, node } = world();
  await node('a@host', ({ method }) => ({ ok: method }));
  const options = { reply: true, limit: 1 } as const;
  const [first, second] = await Promise.all([
    control.broadcast('one', {}, options),
    control.broadcast('two', {}, options),
  ]);
  expect(first).toEqual([{ node: 'a@host', value: { ok: 'one' } }]);
  expect(second).toEqual([{ node: 'a@host', value: { ok: 'two' } }]);
});

test('leaves no queue behind, and works again afterwards', async () => {
  const { control, node, transport } = world();
  await node('a@host', () => ({ ok: 'pong' }));
  for (let round = 0; round < 3; round++) {
    expect(await control.ping({ limit: 1 })).toHaveLength(1);
    const connection = await transport.connect();
    const channel = await connection.channel();
    const message = { body: new Uint8Array(), contentType: '', contentEncoding: '', headers: {}, properties: {} };
    const to = { exchange: 'reply.celery.pidbox', routingKey: 'client-1' };
    await expect(channel.publish(message, to, { mandatory: true }), `round ${round}`).rejects.toThrow();
    await connection.close();
  }
});

test('a command nobody has to answer resolves when it is sent', async () => {
  const { control, node, requests, clock } = world();
  await node('a@host', () => undefined);
  expect(await control.revoke(['x', 'y'], { terminate: true, signal: 'SIGKILL' })).toEqual([]);
  await clock.advance(0);
  expect(requests).toMatchObject([
    { method: 'revoke', arguments: { task_id: ['x', 'y'], terminate: true, signal: 'SIGKILL' }, ticket: undefined },
  ]);
});

test('an abort signal ends the waiting', async () => {
  const { control } = world();
  const stop = new AbortController();
  const asked = control.ping({ signal: stop.signal });
  stop.abort(new Error('enough'));
  await expect(asked).rejects.toThrow('enough');
});

test('the pattern is applied to the answers too, and says how it is read', async () => {
  const { control, node, requests } = world();
  await node('web@host', () => 1);
  await node('old@host', () => 1);
  const answers = await control.inspect({ pattern: 'web@*', limit: 2 }).ask('ping');
  expect(answers).toEqual({ 'web@host': 1 });
  expect(requests[0]).toMatchObject({ pattern: 'web@*', matcher: 'glob', destination: null });
});

test('two workers of one name are warned about', async () => {
  const { control, node, warnings } = world();
  await node('one@host', () => 1, 'same@host');
  await node('two@host', () => 2, 'same@host');
  expect(await control.inspect({ limit: 2 }).ask('ping')).toEqual({ 'same@host': 2 });
  expect(warnings).toEqual([expect.stringContaining('same node name')]);
});

test('a broker without fan-out is refused with a reason', async () => {
  const { control } = world({ fanout: false });
  await expect(control.ping()).rejects.toMatchObject({ code: 'ERR_NOT_SUPPORTED' });
});

test('limits travel in seconds', async () => {
  const { control, node, requests, clock } = world();
  await node('a@host', () => undefined);
  await control.timeLimit('t', { soft: '1m', hard: 90_000 });
  await clock.advance(0);
  expect(requests[0]?.arguments).toEqual({ task_name: 't', soft: 60, hard: 90 });
});
