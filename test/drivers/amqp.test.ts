import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as rawConnect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ChannelError, OperationalError } from '../../src/errors.ts';
import { Celery, Reject } from '../../src/index.ts';
import { exchange, queue } from '../../src/messaging/entity.ts';
import type { Delivery } from '../../src/transports/transport.ts';
import { silentLogger, type Logger } from '../../src/runtime/logger.ts';
import { failover } from '../../src/transports/failover.ts';
import { Worker } from '../../src/worker/index.ts';
import { missing } from '../support/available.ts';
import { faultProxy } from '../support/fault-proxy.ts';
import { startRabbit, type RabbitServer } from '../support/rabbitmq.ts';
import { until } from '../support/until.ts';
import { amqp, failure, keep } from './amqp-support.ts';
import { message, text, to } from './redis-support.ts';

const reason = missing('rabbitmq');
const QUORUM = { 'x-queue-type': 'quorum' };

describe.skipIf(reason !== undefined)(`RabbitMQ${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let server: RabbitServer;
  let certs: string;
  let names = 0;
  const name = (): string => `amqp-${++names}`;

  beforeAll(async () => {
    certs = mkdtempSync(join(tmpdir(), 'celeriac-certs-'));
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    const openssl = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject];
    execFileSync('openssl', [...openssl, '-keyout', 'server.key', '-out', 'server.pem'], {
      cwd: certs,
      stdio: 'ignore',
    });
    execFileSync('cp', ['server.pem', 'ca.pem'], { cwd: certs });
    // A client's certificate is a login of its own: who has none may come all the same.
    const sign = ['x509', '-req', '-CA', 'ca.pem', '-CAkey', 'server.key', '-days', '2', '-set_serial', '2'];
    for (const args of [
      ['req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=ann', '-keyout', 'ann.key', '-out', 'ann.csr'],
      [...sign, '-in', 'ann.csr', '-out', 'ann.pem'],
    ]) {
      execFileSync('openssl', args, { cwd: certs, stdio: 'ignore' });
    }
    server = await startRabbit({
      tls: certs,
      plugins: ['rabbitmq_auth_mechanism_ssl'],
      conf: [
        'auth_mechanisms.1 = PLAIN',
        'auth_mechanisms.2 = AMQPLAIN',
        'auth_mechanisms.3 = EXTERNAL',
        'ssl_options.verify = verify_peer',
        'ssl_options.fail_if_no_peer_cert = false',
        'ssl_cert_login_from = common_name',
      ],
    });
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(certs, { recursive: true, force: true });
  });

  test('virtual hosts, users and passwords with every kind of character', { timeout: 180_000 }, async () => {
    const [user, password, vhost] = ['ann@home', 'p:/?#%;é', 'über/host%'];
    await server.ctl('-q', 'add_user', user, password);
    await server.ctl('-q', 'add_vhost', vhost);
    await server.ctl('-q', 'set_permissions', '-p', vhost, user, '.*', '.*', '.*');
    const url = `amqp://${encodeURIComponent(user)}:${encodeURIComponent(password)}@127.0.0.1:${server.port}/${encodeURIComponent(vhost)}`;
    for (const login of ['PLAIN', 'AMQPLAIN']) {
      const transport = amqp(url, { login_method: login });
      expect(transport.displayUrl).not.toContain('p%3A');
      expect(transport.info).toMatchObject({ virtualHost: vhost, userid: user, ssl: false });
      await using connection = await transport.connect();
      await (await connection.channel()).declare(queue(`by-${login}`));
    }
    const queues = await server.list<{ name: string }>('list_queues', vhost, 'name');
    expect(queues.map((one) => one.name).sort()).toEqual(['by-AMQPLAIN', 'by-PLAIN']);
  });

  test("an app's brokerHeartbeat and brokerLoginMethod are what the broker sees", async () => {
    const broker = await server.vhost();
    const app = new Celery({ broker, backend: 'disabled://', brokerHeartbeat: 7, brokerLoginMethod: 'AMQPLAIN' });
    try {
      await app.send('any', []);
      const columns = ['vhost', 'timeout', 'auth_mechanism'];
      const links = JSON.parse(await server.ctl('-q', 'list_connections', '--formatter', 'json', ...columns)) as {
        vhost: string;
      }[];
      const vhost = decodeURIComponent(new URL(broker).pathname.slice(1));
      expect(links.filter((link) => link.vhost === vhost)).toEqual([{ vhost, timeout: 7, auth_mechanism: 'AMQPLAIN' }]);
    } finally {
      await app.close();
    }
  });

  test('a wrong password is final; a closed port or absent virtual host is not', async () => {
    const wrong = await failure(amqp(`amqp://guest:secret-word@127.0.0.1:${server.port}/`).connect());
    expect(wrong).toBeInstanceOf(OperationalError);
    expect((wrong as OperationalError).recoverable).toBe(false);
    expect((wrong as OperationalError).message).toMatch(/ACCESS_REFUSED|ACCESS-REFUSED/);
    expect((wrong as OperationalError).message).not.toContain('secret-word');
    const nowhere = (await failure(amqp(server.url('nowhere')).connect())) as OperationalError;
    expect(nowhere.recoverable).toBe(true);
    expect(nowhere.message).toContain('the virtual host "nowhere" does not exist');
    const closed = (await failure(amqp('amqp://127.0.0.1:1/').connect())) as OperationalError;
    expect(closed.recoverable).toBe(true);
  });

  test('TLS: the certificate is checked unless somebody says no', async () => {
    const url = `amqps://guest:guest@localhost:${server.tlsPort}/`;
    await expect(amqp(url).connect()).rejects.toThrow(/self-signed certificate/);
    for (const options of [{ ssl: { ca_certs: `${certs}/ca.pem` } }, { ssl: { cert_reqs: 0 } }]) {
      await using connection = await amqp(url, options).connect();
      await (await connection.channel()).publish(message('1'), to('nobody'));
    }
  });

  test('EXTERNAL: the certificate of the client says who it is', async () => {
    const user = '<<"ann">>';
    const all = '<<".*">>';
    await server.ctl(
      '-q',
      'eval',
      `rabbit_auth_backend_internal:add_user(${user}, <<"unused">>, <<"test">>),
       rabbit_auth_backend_internal:set_permissions(${user}, <<"/">>, ${all}, ${all}, ${all}, <<"test">>).`,
    );
    const broker = `amqps://localhost:${server.tlsPort}/`;
    const ssl = { ca_certs: `${certs}/ca.pem` };
    const own = { certfile: `${certs}/ann.pem`, keyfile: `${certs}/ann.key` };
    const app = new Celery({
      broker,
      backend: 'disabled://',
      env: {},
      brokerLoginMethod: 'EXTERNAL',
      brokerUseSsl: { ...ssl, ...own },
    });
    try {
      await app.send('any', [], { queue: name() });
      const columns = ['user', 'auth_mechanism', 'peer_cert_subject'];
      const links = JSON.parse(
        await server.ctl('-q', 'list_connections', '--formatter', 'json', ...columns),
      ) as object[];
      expect(links).toContainEqual({ user: 'ann', auth_mechanism: 'EXTERNAL', peer_cert_subject: 'CN=ann' });
    } finally {
      await app.close();
    }
    const nobody = await failure(amqp(broker, { login_method: 'EXTERNAL', ssl }).connect());
    expect(nobody).toMatchObject({ name: 'OperationalError', recoverable: false });
  });

  test('several URLs: the next one is used while the first is away', async () => {
    await using proxy = await faultProxy(server.port);
    const first = amqp(`amqp://127.0.0.1:${proxy.port}/`, { connect_timeout: 1 });
    const transport = failover([first, amqp(server.url())]);
    proxy.mode = 'refuse';
    await using one = await transport.connect();
    expect(transport.displayUrl).toContain(String(server.port));
    await (await one.channel()).declare(queue(name()));
    proxy.mode = 'blackhole';
    await using other = await failover([first, amqp(server.url())]).connect();
    await (await other.channel()).declare(queue(name()));
  });

  test('a queue with other arguments: the error has both, other queues go on', async () => {
    await using connection = await amqp(await server.vhost()).connect();
    const channel = await connection.channel();
    const busy = queue(name());
    await channel.declare(busy);
    const { deliveries } = await keep(channel, busy);
    const mine = queue(name(), { messageTtlMs: 1000, arguments: { 'x-max-length': 5 } });
    await channel.declare(mine);
    const conflict = await failure(channel.declare({ ...mine, messageTtlMs: 2000 }));
    expect(conflict).toBeInstanceOf(ChannelError);
    const { message: said } = conflict as ChannelError;
    expect(said).toContain(`queue "${mine.name}" exists with other properties`);
    expect(said).toContain('"x-message-ttl":2000');
    expect(said).toContain("current is '1000'");
    const kind = await failure(
      channel.declare(exchange('amq-like', { type: 'topic' })).then(() => channel.declare(exchange('amq-like'))),
    );
    expect((kind as ChannelError).message).toMatch(/exchange "amq-like" exists.*"type":"direct".*topic/);
    await channel.publish(message('still here'), to(busy.name));
    await until(() => deliveries.length === 1);
  });

  test('passive: what does not exist is an error, and is not created', async () => {
    await using connection = await amqp(server.url()).connect();
    const channel = await connection.channel();
    const absent = queue(name(), { passive: true });
    expect(await failure(channel.declare(absent))).toBeInstanceOf(ChannelError);
    expect(await channel.get(absent.name)).toBeUndefined();
    await channel.declare({ ...absent, passive: false });
    await channel.declare(absent);
  });

  test('an unroutable message vanishes, unless it is mandatory', async () => {
    await using connection = await amqp(server.url()).connect();
    const channel = await connection.channel();
    const there = queue(name());
    await channel.declare(there);
    await channel.publish(message('lost'), to('no-such-queue'));
    const outcomes = await Promise.all([
      failure(channel.publish(message('a', { correlationId: 'a' }), to(there.name), { mandatory: true })),
      failure(channel.publish(message('b', { correlationId: 'b' }), to('no-such-queue'), { mandatory: true })),
      failure(channel.publish(message('c', { correlationId: 'c' }), to(there.name), { mandatory: true })),
    ]);
    expect(outcomes.map((one) => one instanceof ChannelError)).toEqual([false, true, false]);
    expect((outcomes[1] as ChannelError).message).toContain('NO_ROUTE');
    expect(await channel.size(there.name)).toBe(2);
  });

  test('publishing to an exchange that does not exist fails; consumers and later publishes do not notice', async () => {
    await using connection = await amqp(server.url()).connect();
    const channel = await connection.channel();
    const there = queue(name());
    await channel.declare(there);
    const { deliveries } = await keep(channel, there);
    const error = await failure(channel.publish(message('x'), { exchange: 'no-such', routingKey: 'k' }));
    expect(error).toBeInstanceOf(ChannelError);
    expect(error).toMatchObject({ code: 'ERR_EXCHANGE_MISSING' });
    expect((error as ChannelError).message).toContain("no exchange 'no-such'");
    await channel.publish(message('after'), to(there.name));
    await until(() => deliveries.length === 1);
    expect(await deliveries[0]?.held()).toBe(true);
  });

  test('a message that the broker refuses takes none of the others with it', async () => {
    await using connection = await amqp(server.url()).connect();
    const channel = await connection.channel();
    const there = queue(name());
    await channel.declare(there);
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, (_, i) => {
        const one = message(`${i}`);
        if (i === 20) return failure(channel.publish(one, { exchange: 'no-such', routingKey: 'k' }));
        if (i !== 40) return failure(channel.publish(one, to(there.name)));
        return failure(channel.publish({ ...one, properties: { userId: 'somebody' } }, to(there.name)));
      }),
    );
    expect(outcomes.flatMap((one, i) => (one === undefined ? [] : [[i, (one as Error).constructor]]))).toEqual([
      [20, ChannelError],
      [40, ChannelError],
    ]);
    expect(String(outcomes[40])).toContain("user_id property set to 'somebody'");
    const seen = new Set<string>();
    const { deliveries } = await keep(channel, there);
    await until(() => {
      for (const one of deliveries.splice(0)) seen.add(text(one));
      return seen.size === 58;
    });
  });

  test('a message that the broker does not take is an error for its caller alone (CALL-12)', async () => {
    const broker = await server.vhost();
    const small = { 'x-max-length': 2, 'x-overflow': 'reject-publish' };
    const app = new Celery({
      broker,
      backend: 'disabled://',
      env: {},
      taskQueues: [queue('small', { arguments: small }), queue('celery')],
    });
    try {
      const sends = Array.from({ length: 6 }, (_, i) =>
        failure(app.send('any', [i], { queue: i % 2 === 0 ? 'small' : 'celery', retry: false })),
      );
      const outcomes = await Promise.all(sends);
      const refused = outcomes.filter((one) => one !== undefined);
      expect(refused).toHaveLength(1);
      expect(refused[0]).toBeInstanceOf(OperationalError);
      expect(refused[0]).toMatchObject({ code: 'ERR_NACK' });
      expect((refused[0] as Error).message).toContain('could not take the message');
      await using connection = await amqp(broker).connect();
      const channel = await connection.channel();
      expect([await channel.size('small'), await channel.size('celery')]).toEqual([2, 3]);
    } finally {
      await app.close();
    }
  });

  test('an app that names an unknown exchange is told at once; one deleted behind its back is declared again', async () => {
    const lines: string[] = [];
    const note = (_: object, line: string): void => void lines.push(line);
    const log: Logger = { ...silentLogger, debug: note, warn: note, child: () => log };
    const broker = await server.vhost();
    const topic = queue('themes', { exchange: exchange('themes', { type: 'topic' }), routingKey: 'theme.#' });
    const app = new Celery({ broker, backend: 'disabled://', taskQueues: [topic], log });
    try {
      const unknown = await failure(app.send('any', [], { exchange: 'no-such', routingKey: 'k' }));
      expect(unknown).toMatchObject({ name: 'ChannelError', code: 'ERR_EXCHANGE_MISSING' });
      expect(lines.join()).not.toContain('trying again');
      const themes = { queue: 'themes', routingKey: 'theme.x' };
      await app.send('any', [], themes);
      await using connection = await amqp(broker).connect();
      const channel = await connection.channel();
      await channel.deleteExchange?.('themes');
      await app.send('any', [], themes);
      expect(await channel.size('themes')).toBe(2);
    } finally {
      await app.close();
    }
  });

  test.each([
    ['classic', {}],
    ['quorum', { arguments: QUORUM }],
  ])('acknowledgements right before the end reach a %s queue, and publishes too', async (_, options) => {
    const from = queue(name(), options);
    await using reader = await amqp(server.url()).connect();
    const reading = await reader.channel();
    await reading.declare(from);
    const count = 400;
    const connection = await amqp(server.url()).connect();
    const channel = await connection.channel();
    const publishing = Array.from({ length: count }, (_unused, i) => channel.publish(message(`${i}`), to(from.name)));
    await connection.close();
    await Promise.all(publishing);
    const next = await amqp(server.url()).connect();
    const { deliveries } = await keep(await next.channel(), from);
    await until(() => deliveries.length === count);
    // Every second one first, so that each is acknowledged by itself; but for the last, which goes back.
    const order = deliveries.slice(0, -1).filter((_unused, i) => i % 2 === 1);
    for (const one of order) void one.ack();
    for (const one of deliveries.slice(0, -1)) void one.ack();
    await next.close();
    await until(async () => (await reading.size(from.name)) === 1, { message: 'the one that was kept is back' });
    const again = await keep(reading, from);
    await until(() => again.deliveries.length === 1);
    expect(text(again.deliveries[0] as Delivery)).toBe(text(deliveries.at(-1) as Delivery));
    await again.deliveries[0]?.ack();
    expect(await reading.size(from.name)).toBe(0);
  });

  test('what a lost connection delivered can neither be settled nor is it held', async () => {
    await using proxy = await faultProxy(server.port);
    const transport = amqp(`amqp://127.0.0.1:${proxy.port}/`);
    const from = queue(name());
    const connection = await transport.connect();
    const channel = await connection.channel();
    await channel.declare(from);
    await channel.publish(message('once'), to(from.name));
    const { deliveries } = await keep(channel, from);
    await until(() => deliveries.length === 1);
    const delivery = deliveries[0];
    expect(delivery?.held()).toBe(true);
    proxy.reset();
    expect(await connection.closed).toBeInstanceOf(OperationalError);
    expect(await delivery?.held()).toBe(false);
    expect(await failure(delivery?.ack() as Promise<void>)).toBeInstanceOf(OperationalError);
    expect(await failure(channel.publish(message('no'), to(from.name)))).toBeInstanceOf(OperationalError);
    await using next = await transport.connect();
    const again = await keep(await next.channel(), from);
    await until(() => again.deliveries.length === 1);
    expect(again.deliveries[0]?.redelivered).toBe(true);
    await again.deliveries[0]?.ack();
  });

  test('a frozen link is noticed, and everything that waits for it ends', async () => {
    await using proxy = await faultProxy(server.port);
    const options = { answer_timeout: 1, probe_interval: 0.2, connect_timeout: 1 };
    const transport = amqp(`amqp://127.0.0.1:${proxy.port}/`, options);
    const connection = await transport.connect();
    const channel = await connection.channel();
    const from = queue(name());
    const { consumer } = await keep(channel, from);
    const proof = consumer.lastProofMs;
    await until(() => consumer.lastProofMs > proof, { message: 'the consumer proves that it reads' });
    proxy.mode = 'blackhole';
    const publishing = failure(channel.publish(message('x'), to(from.name)));
    expect(await connection.closed).toBeInstanceOf(OperationalError);
    expect(await publishing).toBeInstanceOf(OperationalError);
    expect(await failure(transport.connect())).toBeInstanceOf(OperationalError);
    await connection.close();
  });

  test('a deleted queue ends its consumer, not the others', async () => {
    await using connection = await amqp(server.url()).connect();
    const channel = await connection.channel();
    const [doomed, other] = [queue(name()), queue(name())];
    const reasons: Error[] = [];
    await keep(channel, doomed, { onCancel: (why) => void reasons.push(why) });
    const { deliveries } = await keep(channel, other);
    await channel.deleteQueue(doomed.name);
    await until(() => reasons.length === 1);
    expect(reasons[0]?.message).toContain(doomed.name);
    await channel.publish(message('on'), to(other.name));
    await until(() => deliveries.length === 1);
  });

  test.each([
    ['classic', {}],
    ['quorum', { arguments: QUORUM }],
  ])('the window of a %s queue grows, shrinks and is kept', async (_, options) => {
    await using connection = await amqp(server.url()).connect();
    const channel = await connection.channel();
    const from = queue(name(), options);
    await channel.declare(from);
    await Promise.all(Array.from({ length: 30 }, (_unused, i) => channel.publish(message(`${i}`), to(from.name))));
    const { deliveries, consumer } = await keep(channel, from, { prefetch: 4 });
    await until(() => deliveries.length === 4);
    await consumer.setPrefetch(8);
    await until(() => deliveries.length === 8);
    await consumer.setPrefetch(2);
    const seen = new Set<string>();
    const acknowledge = async (): Promise<void> => {
      for (const one of deliveries.splice(0)) {
        expect(one.redelivered).toBe(false);
        seen.add(text(one));
        await one.ack();
      }
    };
    await acknowledge();
    await until(() => deliveries.length === 2);
    await consumer.setPrefetch(5);
    await until(() => deliveries.length === 5);
    while (seen.size < 30) {
      expect(deliveries.length).toBeLessThanOrEqual(5);
      await acknowledge();
      await until(() => deliveries.length > 0 || seen.size === 30);
    }
    expect(await channel.size(from.name)).toBe(0);
  });

  test('consumers of one channel share their window; on RabbitMQ 4 each has its own', async () => {
    const raw = await rawConnect(server.url());
    const { version } = raw.connection.serverProperties as { version?: string };
    await raw.close();
    const first = Number.parseInt(String(version), 10) < 4 ? 6 : 10;
    await using connection = await amqp(server.url()).connect();
    const channel = await connection.channel();
    const queues = [queue(name()), queue(name())];
    for (const from of queues) {
      await channel.declare(from);
      for (let i = 0; i < 5; i++) await channel.publish(message(`${i}`), to(from.name));
    }
    const kept: Awaited<ReturnType<typeof keep>>[] = [];
    for (const from of queues) kept.push(await keep(channel, from, { prefetch: 6 }));
    const count = (): number => kept.reduce((sum, { deliveries }) => sum + deliveries.length, 0);
    await until(() => count() === first);
    await channel.publish(message('probe'), to('nobody'));
    expect(count()).toBe(first);
    for (const { deliveries } of kept) for (const one of deliveries) await one.ack();
    await until(() => count() === 10);
  });

  test.each([
    ['classic', {}],
    ['quorum', { taskDefaultQueueType: 'quorum', brokerTransportOptions: { native_delayed_delivery: false } }],
  ] as const)(
    'what a worker has unsettled of a %s queue is its window, and what it holds for an ETA (BRK-5)',
    { timeout: 120_000 },
    async (_, settings) => {
      const broker = await server.vhost();
      const vhost = decodeURIComponent(new URL(broker).pathname.slice(1));
      const app = new Celery({ ...settings, broker, backend: 'disabled://', env: {} });
      const [window, held, count] = [4, 10, 60];
      let ran = 0;
      let permits = 0;
      app.task('far', { ignoreResult: true }, () => undefined);
      app.task('waits', { ignoreResult: true, acksLate: true }, async () => {
        await until(() => permits > 0, { message: 'a permit', timeoutMs: 60_000 });
        permits--;
        ran++;
      });
      const worker = new Worker(app, { concurrency: 2, prefetchMultiplier: window / 2, hostname: 'window@test' });
      const unsettled = async (): Promise<number> => {
        const rows = await server.list<{ name: string; messages_unacknowledged: number }>(
          'list_queues',
          vhost,
          'name',
          'messages_unacknowledged',
        );
        return rows.find(({ name: queueName }) => queueName === 'celery')?.messages_unacknowledged ?? 0;
      };
      try {
        await worker.start();
        // The worker has to get past the far ones to reach what is due.
        for (let i = 0; i < held; i++) await app.send('far', [], { countdown: '1h' });
        for (let i = 0; i < count; i++) await app.send('waits');
        await until(async () => (await unsettled()) === window + held, { message: 'it is full', timeoutMs: 60_000 });
        for (const goal of [20, 40, count]) {
          permits = goal - ran;
          const seen: number[] = [];
          await until(
            async () => {
              seen.push(await unsettled());
              return ran === goal;
            },
            { message: `${goal} have run`, timeoutMs: 60_000 },
          );
          expect(Math.max(...seen)).toBeLessThanOrEqual(window + held);
        }
        await until(async () => (await unsettled()) === held, { message: 'the far ones are left', timeoutMs: 60_000 });
      } finally {
        await worker.stop('cold');
        await app.close();
      }
    },
  );

  test('priorities: 9 comes before what has none, and that before 0 (ROU-8)', async () => {
    const broker = await server.vhost();
    const app = new Celery({
      broker,
      backend: 'disabled://',
      env: {},
      taskQueueMaxPriority: 10,
      taskDefaultPriority: 5,
    });
    const order: string[] = [];
    app.task('note', { ignoreResult: true }, (name: string) => void order.push(name));
    const worker = new Worker(app, { concurrency: 1, prefetchMultiplier: 1, hostname: 'ranks@test' });
    try {
      for (let i = 0; i < 3; i++) {
        await app.send('note', [`low${i}`], { priority: 0 });
        await app.send('note', [`own${i}`]);
        await app.send('note', [`high${i}`], { priority: 9 });
      }
      await worker.start();
      await until(() => order.length === 9, { message: 'all ran', timeoutMs: 30_000 });
      expect(order).toEqual(['high', 'own', 'low'].flatMap((rank) => [0, 1, 2].map((i) => `${rank}${i}`)));
    } finally {
      await worker.stop('cold');
      await app.close();
    }
  });

  test('a rejected task goes to the dead-letter exchange', async () => {
    const [jobs, dead] = [name(), name()];
    const app = new Celery({ broker: server.url(), backend: 'memory://', env: {}, taskAcksLate: true });
    const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead };
    app.queues.add(queue(jobs, { arguments: args }));
    app.task('rejects', () => {
      throw new Reject('not for us', { requeue: false });
    });
    const worker = new Worker(app, { queues: [jobs], hostname: 'rejects@test' });
    await using connection = await amqp(server.url()).connect();
    const channel = await connection.channel();
    await channel.declare(queue(dead));
    try {
      await worker.start();
      const handle = await app.send('rejects', [], { queue: jobs });
      const letter = await until(() => channel.get(dead), { timeoutMs: 30_000, message: 'the dead letter' });
      expect(letter.message.headers).toMatchObject({ task: 'rejects', id: handle.id });
      expect(letter.message.headers['x-death']).toMatchObject([{ queue: jobs, reason: 'rejected' }]);
      await letter.ack();
    } finally {
      await worker.stop('cold');
      await app.close();
    }
  });

  test('integers travel as 32 or 64 bits', async () => {
    await using connection = await amqp(server.url()).connect();
    const channel = await connection.channel();
    const from = queue(name());
    await channel.declare(from);
    const raw = await rawConnect(server.url());
    try {
      const reader = await raw.createChannel();
      const headers = {
        byte: 3,
        minus: -2,
        wide: 70_000,
        long: 2 ** 40,
        float: 0.1,
        list: [1, { two: 2 }],
        big: 2n ** 60n,
      };
      await channel.publish({ ...message('ours'), headers }, to(from.name));
      const got = await reader.get(from.name, { noAck: true });
      expect(got && got.properties.headers).toEqual({ ...headers, big: 2 ** 60 });
    } finally {
      await raw.close();
    }
  });
});
