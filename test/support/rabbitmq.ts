import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from './until.ts';

const run = promisify(execFile);
const HOME = '/usr/lib/rabbitmq';
/** A folder with another Debian in it, whose RabbitMQ is used; it shares /tmp, /proc and /dev. See CONTRIBUTING.md. */
const ROOT = process.env['CELERIAC_RABBITMQ_ROOT'];

/** How a program of RabbitMQ is called. */
function inRoot(program: string, args: readonly string[] = []): [string, string[]] {
  const path = `${HOME}/bin/${program}`;
  return ROOT === undefined ? [path, [...args]] : ['chroot', [ROOT, path, ...args]];
}

/** A RabbitMQ node of a test's own, on free ports, with data of its own. */
export interface RabbitServer extends AsyncDisposable {
  readonly port: number;
  readonly tlsPort: number | undefined;
  readonly dir: string;
  /** Of the virtual machine that runs the node. */
  readonly pid: number;
  /** `amqp://guest:guest@127.0.0.1:port/vhost` */
  url(vhost?: string): string;
  /** A virtual host that nobody has used; resolves to its URL. */
  vhost(): Promise<string>;
  /** `rabbitmqctl …` of this node; resolves to what it prints. */
  ctl(...args: readonly string[]): Promise<string>;
  /** `rabbitmqctl list_… --formatter json`, read. */
  list<T>(what: string, vhost: string, ...columns: readonly string[]): Promise<T[]>;
  signal(signal: NodeJS.Signals): void;
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface RabbitOptions {
  /** Folder with ca.pem, server.pem and server.key. */
  readonly tls?: string;
  /** Lines for rabbitmq.conf. */
  readonly conf?: readonly string[];
  /** Plugins that come with it. */
  readonly plugins?: readonly string[];
  /** A node whose cluster this one joins. */
  readonly join?: RabbitServer & { readonly cluster?: ClusterPlace };
}

interface ClusterPlace {
  readonly epmd: number;
  readonly cookie: string;
  readonly node: string;
}

const VHOSTS_AT_A_TIME = 4;

/** Erlang that makes the next virtual hosts, all of them open to guest. */
function vhostsFrom(number: number): string {
  const names = Array.from({ length: VHOSTS_AT_A_TIME }, (_, i) => `<<"test-${number + i}">>`);
  const open = 'rabbit_auth_backend_internal:set_permissions(<<"guest">>, N, <<".*">>, <<".*">>, <<".*">>, <<"test">>)';
  return `[begin rabbit_vhost:add(N, <<"test">>), ${open} end || N <- [${names.join(', ')}]].`;
}

const places = new WeakMap<RabbitServer, ClusterPlace>();

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

/** Starts a node; about five seconds. */
export async function startRabbit(options: RabbitOptions = {}): Promise<RabbitServer> {
  const place = options.join && places.get(options.join);
  const [port, dist, ownEpmd, tlsPort] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const epmd = place?.epmd ?? ownEpmd;
  const dir = mkdtempSync(join(tmpdir(), 'celeriac-rabbit-'));
  const node = `r${port}@localhost`;
  const cookie = place?.cookie ?? `COOKIE${port}`;
  writeFileSync(join(dir, '.erlang.cookie'), cookie, { mode: 0o400 });
  mkdirSync(join(dir, 'log'));
  writeFileSync(join(dir, 'enabled_plugins'), `[${(options.plugins ?? []).join(',')}].`);
  const tls =
    options.tls === undefined
      ? []
      : [
          `listeners.ssl.1 = 127.0.0.1:${tlsPort}`,
          `ssl_options.cacertfile = ${options.tls}/ca.pem`,
          `ssl_options.certfile = ${options.tls}/server.pem`,
          `ssl_options.keyfile = ${options.tls}/server.key`,
        ];
  writeFileSync(
    join(dir, 'rabbitmq.conf'),
    [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      'loopback_users = none',
      'log.console.level = warning',
      'disk_free_limit.absolute = 1MB',
      ...tls,
      ...(options.conf ?? []),
      '',
    ].join('\n'),
  );
  const env = {
    ...process.env,
    HOME: dir,
    RABBITMQ_HOME: HOME,
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_NODENAME: node,
    RABBITMQ_DIST_PORT: String(dist),
    ERL_EPMD_PORT: String(epmd),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_MNESIA_BASE: join(dir, 'mnesia'),
    RABBITMQ_LOG_BASE: join(dir, 'log'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_PID_FILE: join(dir, 'pid'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(dir, 'gen'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'enabled_plugins'),
    RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none',
    // The script is replaced by the virtual machine: its pid is the node's.
    RUNNING_UNDER_SYSTEMD: 'true',
  };
  let child!: ChildProcess;
  let output = '';
  const start = async (): Promise<void> => {
    child = spawn(...inRoot('rabbitmq-server'), { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (output += String(chunk)));
    const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
    await until(async () => ended() || (await accepts(port)), { message: 'RabbitMQ accepts', timeoutMs: 60_000 });
    if (ended()) throw new Error(`RabbitMQ did not start:\n${output}`);
    // The port is open before all of it has started.
    await ctl('-q', 'await_startup', '--timeout', '60');
  };
  const ctl = async (...args: readonly string[]): Promise<string> => {
    let printed = '';
    const attempt = async (): Promise<boolean> => {
      try {
        printed = (await run(...inRoot('rabbitmqctl', args), { env, timeout: 60_000 })).stdout;
        return true;
      } catch (error) {
        // The port is open a moment before the node counts as started.
        if (/requires the 'rabbit' app to be running/.test(String(error))) return false;
        throw error;
      }
    };
    await until(attempt, { message: 'the node has started', timeoutMs: 60_000 });
    return printed;
  };
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  const onExit = (): void => void child.kill('SIGKILL');
  process.once('exit', onExit);
  await start();
  let vhosts = 0;
  let making: Promise<unknown> | undefined;
  const address = (vhost = '/'): string => `amqp://guest:guest@127.0.0.1:${port}/${encodeURIComponent(vhost)}`;
  const server: RabbitServer = {
    port,
    tlsPort: options.tls === undefined ? undefined : tlsPort,
    dir,
    get pid() {
      return child.pid as number;
    },
    url: address,
    vhost: async () => {
      const number = vhosts++;
      // Each call of rabbitmqctl starts a virtual machine: one makes several.
      if (number % VHOSTS_AT_A_TIME === 0) making = ctl('-q', 'eval', vhostsFrom(number));
      await making;
      return address(`test-${number}`);
    },
    ctl,
    list: async <T>(what: string, vhost: string, ...columns: readonly string[]): Promise<T[]> =>
      JSON.parse(await ctl('-q', what, '-p', vhost, '--formatter', 'json', ...columns)) as T[],
    signal: (signal) => void child.kill(signal),
    kill,
    restart: start,
    stop: async () => {
      process.removeListener('exit', onExit);
      await kill();
      if (place === undefined) {
        await run('epmd', ['-port', String(epmd), '-kill'], { env }).catch(() => {});
      }
      // Helpers of the virtual machine end a moment after it, and write until then.
      rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 });
    },
    [Symbol.asyncDispose]: () => server.stop(),
  };
  places.set(server, { epmd, cookie, node });
  if (place) {
    await ctl('-q', 'stop_app');
    await ctl('-q', 'join_cluster', place.node);
    await ctl('-q', 'start_app');
  }
  return server;
}
