// A RabbitMQ node of the bench's own: free ports, data in a temporary folder, gone at the end.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';

const HOME = '/usr/lib/rabbitmq';
const QUEUE = 'celery';

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Deletes the queue that every peer uses. */
async function empty(url) {
  const link = await connect(url);
  const channel = await link.createChannel();
  await channel.deleteQueue(QUEUE);
  await channel.close();
  await link.close();
}

/** undefined where RabbitMQ is not installed; `BENCH_AMQP_URL` uses a node that runs (its queue "celery" is deleted). */
export async function rabbitServer() {
  const given = process.env.BENCH_AMQP_URL;
  if (given) return { url: given, empty: () => empty(given), stop() {} };
  if (!existsSync(`${HOME}/bin/rabbitmq-server`)) return undefined;
  const [port, dist, epmd] = [await freePort(), await freePort(), await freePort()];
  const dir = mkdtempSync(join(tmpdir(), 'celeriac-bench-rabbit-'));
  mkdirSync(join(dir, 'log'));
  writeFileSync(join(dir, 'enabled_plugins'), '[].');
  writeFileSync(join(dir, 'rabbitmq.conf'), `listeners.tcp.1 = 127.0.0.1:${port}\ndisk_free_limit.absolute = 1MB\n`);
  const env = {
    ...process.env,
    HOME: dir,
    RABBITMQ_HOME: HOME,
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_NODENAME: `bench${port}@localhost`,
    RABBITMQ_DIST_PORT: String(dist),
    ERL_EPMD_PORT: String(epmd),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_MNESIA_BASE: join(dir, 'mnesia'),
    RABBITMQ_LOG_BASE: join(dir, 'log'),
    RABBITMQ_LOGS: join(dir, 'log', 'node.log'),
    RABBITMQ_PID_FILE: join(dir, 'pid'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(dir, 'gen'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'enabled_plugins'),
    RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq'),
    // The script is replaced by the virtual machine: its pid is the node's.
    RUNNING_UNDER_SYSTEMD: 'true',
  };
  const child = spawn(`${HOME}/bin/rabbitmq-server`, [], { env, stdio: 'ignore' });
  const url = `amqp://guest:guest@127.0.0.1:${port}/`;
  const stop = () => {
    child.kill('SIGKILL');
    spawnSync('epmd', ['-port', String(epmd), '-kill'], { env, stdio: 'ignore' });
    rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 });
  };
  for (let attempt = 0; attempt < 600 && child.exitCode === null; attempt++) {
    try {
      await empty(url);
      return { url, empty: () => empty(url), stop };
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  stop();
  return undefined;
}
