import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { queue as makeQueue, type Queue } from '../../src/messaging/entity.ts';
import type { Message } from '../../src/protocol/message.ts';
import { sleep, systemClock } from '../../src/runtime/clock.ts';
import type { Logger } from '../../src/runtime/logger.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { createTransport } from '../../src/transports/redis/index.ts';
import type { Connection, Delivery, DriverContext, Transport } from '../../src/transports/transport.ts';

/** A redis-server of a test's own. */
export interface RedisServer {
  readonly port: number;
  readonly dir: string;
  readonly process: ChildProcess;
  url(db?: number): string;
  /** A plain client for looking and meddling. */
  client(db?: number): Redis;
  /** Ends the process as it is; `restart` brings it back on the same port and data. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** @param sentinel starts a sentinel with the given configuration file instead */
export async function startRedis(
  args: readonly string[] = [],
  options: { port?: number; probe?: () => Redis; command?: readonly string[] } = {},
): Promise<RedisServer> {
  const port = options.port ?? (await freePort());
  const dir = mkdtempSync(join(tmpdir(), 'celeriac-redis-'));
  const base = options.command ?? [
    'redis-server',
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', ''],
    ...['--enable-debug-command', 'local', '--unixsocket', join(dir, 'sock')],
  ];
  const clients: Redis[] = [];
  const probe = options.probe ?? (() => new Redis({ port, host: '127.0.0.1', retryStrategy: () => 20 }));
  const start = async (): Promise<ChildProcess> => {
    const [program = '', ...rest] = [...base, ...args];
    const child = spawn(program, rest, { stdio: 'ignore' });
    const client = probe();
    client.on('error', () => {});
    await until(async () => (await client.ping().catch(() => '')) === 'PONG', 'redis-server answers');
    client.disconnect();
    return child;
  };
  let child = await start();
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  };
  return {
    port,
    dir,
    get process() {
      return child;
    },
    url: (db = 0) => `redis://127.0.0.1:${port}/${db}`,
    client: (db = 0) => {
      const client = new Redis({ port, host: '127.0.0.1', db, retryStrategy: () => 50 });
      client.on('error', () => {});
      clients.push(client);
      return client;
    },
    kill,
    restart: async () => {
      child = await start();
    },
    stop: async () => {
      for (const client of clients) client.disconnect();
      await kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function recordingLog(): Logger & { readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) =>
    void lines.push({ level, message, fields });
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), fatal: at('fatal') };
  const logger: Logger & { readonly lines: LogLine[] } = { ...log, child: () => logger, lines };
  return logger;
}

export function context(log: Logger = recordingLog()): DriverContext {
  return { clock: systemClock, random: systemRandom(), log };
}

export function transport(url: string, options: Record<string, unknown> = {}, log?: Logger): Transport {
  return createTransport(url, options, context(log));
}

/** Resolves when `condition` holds; a test never sleeps for a fixed time. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = systemClock.monotonic() + timeoutMs;
  while (!(await condition())) {
    if (systemClock.monotonic() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(systemClock, 10);
  }
}

export function message(text: string, properties: Message['properties'] = {}): Message {
  return {
    body: Buffer.from(text),
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    headers: {},
    properties,
  };
}

export function text(delivery: Delivery): string {
  return Buffer.from(delivery.message.body).toString();
}

export const to = (name: string): { exchange: string; routingKey: string } => ({ exchange: '', routingKey: name });

export const queue = (name: string): Queue => makeQueue(name);

/** Consumes a queue into a list. */
export async function collect(
  connection: Connection,
  name: string,
  options: { prefetch?: number; ack?: boolean } = {},
): Promise<{ deliveries: Delivery[]; texts: () => string[] }> {
  const channel = await connection.channel();
  const deliveries: Delivery[] = [];
  await channel.consume(
    queue(name),
    (delivery) => {
      deliveries.push(delivery);
      if (options.ack) void delivery.ack().catch(() => {});
    },
    { prefetch: options.prefetch ?? 100 },
  );
  return { deliveries, texts: () => deliveries.map(text) };
}
