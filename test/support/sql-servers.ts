import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { until } from './until.ts';

/** A database server of a test's own: loopback, a free port, data of its own, no password. */
export interface SqlServer extends AsyncDisposable {
  readonly port: number;
  readonly user: string;
  /** A database that is there from the start. */
  readonly database: string;
  readonly url: string;
  /** Breaks every connection: the server is killed and comes back on the same data. */
  restart(): Promise<void>;
  /** Stands still, and goes on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
}

const DATABASE = 'test';
const NOBODY = 65534;

/** PostgreSQL refuses to run as root; then it runs as nobody. */
export async function startPostgres(): Promise<SqlServer> {
  const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(a) - Number(b));
  const bin = `/usr/lib/postgresql/${versions.at(-1)}/bin`;
  const dir = mkdtempSync(join(tmpdir(), 'celeriac-postgres-'));
  const data = join(dir, 'data');
  const root = process.getuid?.() === 0;
  if (root) chownSync(dir, NOBODY, NOBODY);
  const as = { cwd: dir, env: { ...process.env, HOME: dir }, ...(root && { uid: NOBODY, gid: NOBODY }) };
  const init = ['-D', data, '-U', 'test', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'];
  execFileSync(`${bin}/initdb`, init, { ...as, stdio: 'ignore' });
  execFileSync(`${bin}/postgres`, ['--single', '-D', data, 'postgres'], {
    ...as,
    input: `create database ${DATABASE};\n`,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const start = (port: number): ChildProcess => {
    const settings = ['listen_addresses=127.0.0.1', 'fsync=off', 'shared_buffers=16MB'].flatMap((one) => ['-c', one]);
    const args = ['-D', data, '-p', String(port), '-k', dir, ...settings];
    return spawn(`${bin}/postgres`, args, { ...as, stdio: ['ignore', 'pipe', 'pipe'] });
  };
  const server = await serve('PostgreSQL', dir, start, (log) => log.includes('ready to accept connections'));
  return { ...server, user: 'test', url: `postgresql://test@127.0.0.1:${server.port}/${DATABASE}` };
}

export async function startMariadb(): Promise<SqlServer> {
  const dir = mkdtempSync(join(tmpdir(), 'celeriac-mariadb-'));
  const data = join(dir, 'data');
  const user = userInfo().username;
  const common = ['--no-defaults', `--user=${user}`, `--datadir=${data}`];
  const install = ['--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve'];
  execFileSync('mariadb-install-db', [...common, ...install], { stdio: 'ignore' });
  mkdirSync(join(data, DATABASE));
  const start = (port: number): ChildProcess => {
    const place = [`--socket=${join(dir, 'sock')}`, `--pid-file=${join(dir, 'pid')}`, `--port=${port}`];
    const light = ['--innodb-buffer-pool-size=32M', '--innodb-flush-log-at-trx-commit=2', '--skip-name-resolve'];
    const args = [...common, ...place, '--bind-address=127.0.0.1', '--character-set-server=utf8mb4', ...light];
    return spawn('mariadbd', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  };
  const server = await serve('MariaDB', dir, start, (log) => log.includes('ready for connections'));
  return { ...server, user: 'root', url: `mysql://root@127.0.0.1:${server.port}/${DATABASE}` };
}

async function serve(
  name: string,
  dir: string,
  start: (port: number) => ChildProcess,
  isReady: (log: string) => boolean,
): Promise<Omit<SqlServer, 'user' | 'url'>> {
  const port = await freePort();
  let child!: ChildProcess;
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const begin = async (): Promise<void> => {
    let log = '';
    child = start(port);
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (log += String(chunk)));
    const ready = async (): Promise<boolean> => ended() || (isReady(log) && (await accepts(port)));
    await until(ready, { message: `${name} accepts`, timeoutMs: 60_000 });
    if (ended()) throw new Error(`${name} did not start:\n${log}`);
  };
  const kill = async (): Promise<void> => {
    if (ended()) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  const onExit = (): void => void child.kill('SIGKILL');
  process.once('exit', onExit);
  await begin();
  return {
    port,
    database: DATABASE,
    signal: (signal) => void child.kill(signal),
    restart: async () => {
      await kill();
      await begin();
    },
    async [Symbol.asyncDispose]() {
      process.removeListener('exit', onExit);
      await kill();
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

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
