import { expect, test } from 'vitest';
import { ChannelError, OperationalError, UsageError } from '../errors.ts';
import type { Message } from '../protocol/message.ts';
import { deferred, type Deferred } from '../runtime/deferred.ts';
import { silentLogger } from '../runtime/logger.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { Channel, Connection, Transport } from '../transports/transport.ts';
import { queue, type Entity } from './entity.ts';
import { Producer } from './producer.ts';

const message: Message = {
  body: new Uint8Array(),
  contentType: 'application/json',
  contentEncoding: 'utf-8',
  headers: {},
  properties: {},
};
const to = { exchange: '', routingKey: 'q' };
const lost = (): OperationalError => new OperationalError('connection lost', { recoverable: true });

/** A broker of which every step can be made to fail or hang. */
class FakeBroker {
  connects = 0;
  closes = 0;
  readonly declared: string[] = [];
  published = 0;
  onConnect: () => Promise<void> = () => Promise.resolve();
  onPublish: () => Promise<void> = () => Promise.resolve();
  last: Deferred<Error | undefined> | undefined;

  readonly transport = {
    displayUrl: 'fake://',
    connect: async (): Promise<Connection> => {
      this.connects++;
      await this.onConnect();
      const closed = deferred<Error | undefined>();
      this.last = closed;
      const channel = {
        declare: async (entity: Entity) => void this.declared.push('name' in entity ? entity.name : 'binding'),
        publish: async () => {
          await this.onPublish();
          this.published++;
        },
      } as unknown as Channel;
      const close = async (): Promise<void> => {
        this.closes++;
        closed.resolve(undefined);
      };
      return { channel: () => Promise.resolve(channel), closed: closed.promise, close, [Symbol.asyncDispose]: close };
    },
  } as unknown as Transport;
}

function setUp(): { broker: FakeBroker; clock: ManualClock; producer: Producer } {
  const broker = new FakeBroker();
  const clock = new ManualClock();
  const transport = (): Promise<Transport> => Promise.resolve(broker.transport);
  return { broker, clock, producer: new Producer({ clock, log: silentLogger, transport, connectTimeoutMs: 4000 }) };
}

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'resolved',
    (error: unknown) => error,
  );

test('concurrent publishes share one connection, and a queue is declared once on it', async () => {
  const { broker, producer } = setUp();
  const declares = [queue('q')];
  await Promise.all(Array.from({ length: 50 }, () => producer.publish(message, to, { declares, timeoutMs: 1000 })));
  expect(broker).toMatchObject({ connects: 1, published: 50, declared: ['q'] });
  await producer.close();
});

test('a lost connection is made again by the next publish, with its declarations', async () => {
  const { broker, producer } = setUp();
  const options = { declares: [queue('q')], timeoutMs: 1000 };
  await producer.publish(message, to, options);
  broker.last?.resolve(lost());
  await Promise.resolve();
  await producer.publish(message, to, options);
  expect(broker).toMatchObject({ connects: 2, published: 2, declared: ['q', 'q'] });
  await producer.close();
});

test('a queue that may vanish is declared each time', async () => {
  const { broker, producer } = setUp();
  const declares = [queue('reply', { autoDelete: true })];
  await producer.publish(message, to, { declares, timeoutMs: 1000 });
  await producer.publish(message, to, { declares, timeoutMs: 1000 });
  expect(broker.declared).toEqual(['reply', 'reply']);
  await producer.close();
});

test('an outage shorter than the retry policy is not noticed', async () => {
  const { broker, clock, producer } = setUp();
  broker.onConnect = () => (broker.connects <= 2 ? Promise.reject(lost()) : Promise.resolve());
  const done = producer.publish(message, to, { timeoutMs: 10_000 });
  await clock.advance('1s');
  await done;
  expect(broker).toMatchObject({ connects: 3, published: 1 });
  await producer.close();
});

test('a longer one rejects with the last error, and the next publish starts afresh', async () => {
  const { broker, clock, producer } = setUp();
  broker.onConnect = () => Promise.reject(lost());
  for (const round of [1, 2]) {
    const done = failure(producer.publish(message, to, { timeoutMs: 10_000 }));
    await clock.advance('1s');
    expect(await done).toMatchObject({ message: 'connection lost', recoverable: true });
    expect(broker.connects).toBe(4 * round);
  }
  broker.onConnect = () => Promise.resolve();
  await producer.publish(message, to, { timeoutMs: 10_000 });
  await producer.close();
});

test('without retry the first failure is final, and other errors always are', async () => {
  const { broker, producer } = setUp();
  const once = { maxRetries: 0, intervalStartMs: 0, intervalStepMs: 0, intervalMaxMs: 0 };
  broker.onPublish = () => Promise.reject(lost());
  expect(await failure(producer.publish(message, to, { timeoutMs: 1000, retry: once }))).toMatchObject({
    message: 'connection lost',
  });
  broker.onPublish = () => Promise.reject(new ChannelError('no such exchange'));
  expect(await failure(producer.publish(message, to, { timeoutMs: 1000 }))).toBeInstanceOf(ChannelError);
  expect(broker.published).toBe(0);
  await producer.close();
});

test('a broker that never answers ends every publish by its deadline, and its connection', async () => {
  const { broker, clock, producer } = setUp();
  broker.onPublish = () => new Promise(() => {});
  const all = Array.from({ length: 200 }, () => failure(producer.publish(message, to, { timeoutMs: 2000 })));
  await clock.advance('2.2s');
  for (const one of await Promise.all(all)) expect(one).toMatchObject({ code: 'ERR_PUBLISH_TIMEOUT' });
  expect(broker).toMatchObject({ connects: 1, closes: 1 });
  broker.onPublish = () => Promise.resolve();
  await producer.publish(message, to, { timeoutMs: 2000 });
  expect(broker.connects).toBe(2);
  await producer.close();
});

test('a connection that is never made ends by the connect timeout', async () => {
  const { broker, clock, producer } = setUp();
  broker.onConnect = () => new Promise(() => {});
  const done = failure(producer.publish(message, to, { timeoutMs: 60_000 }));
  await clock.advance('20s');
  expect(await done).toMatchObject({ code: 'ERR_CONNECT_TIMEOUT' });
  expect(broker.connects).toBe(4);
  await producer.close();
});

test('a signal ends a publish that waits to try again', async () => {
  const { broker, clock, producer } = setUp();
  broker.onConnect = () => Promise.reject(lost());
  const stop = new AbortController();
  const done = failure(producer.publish(message, to, { timeoutMs: 60_000, signal: stop.signal }));
  await clock.advance('0.1s');
  stop.abort(new Error('enough'));
  expect(await done).toMatchObject({ message: 'enough' });
  await producer.close();
});

test('closing waits for answers a little, then fails what is left, and leaves no timer', async () => {
  const { broker, clock, producer } = setUp();
  await producer.publish(message, to, { timeoutMs: 1000 });
  const answer = deferred();
  broker.onPublish = () => answer.promise;
  const answered = producer.publish(message, to, { timeoutMs: 10_000 });
  const closing = producer.close();
  answer.resolve();
  await answered;
  await closing;
  expect(await failure(producer.publish(message, to, { timeoutMs: 1000 }))).toBeInstanceOf(UsageError);
  await clock.advance('1s');
  expect(clock.pending).toBe(0);

  const other = setUp();
  other.broker.onPublish = () => new Promise(() => {});
  const hanging = failure(other.producer.publish(message, to, { timeoutMs: 10_000 }));
  await other.clock.advance(0);
  const closed = other.producer.close();
  await other.clock.advance('1s');
  await closed;
  expect(await hanging).toBeInstanceOf(UsageError);
  expect(other.clock.pending).toBe(0);
});
