// A Redis of the bench's own: free port, no persistence, gone at the end.
import { spawn } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket.destroy() && true));
    socket.on('error', () => resolve(false));
  });
}

/** undefined where no redis-server is installed; `BENCH_REDIS_URL` uses a server that runs already (it is flushed). */
export async function redisServer() {
  if (process.env.BENCH_REDIS_URL) return { url: process.env.BENCH_REDIS_URL, pid: undefined, stop() {} };
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'celeriac-bench-'));
  const child = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir],
    { stdio: 'ignore' },
  );
  let failed = false;
  child.on('error', () => (failed = true));
  for (let attempt = 0; attempt < 100 && !failed; attempt++) {
    if (await answers(port)) {
      return {
        url: `redis://127.0.0.1:${port}/0`,
        pid: child.pid,
        stop() {
          child.kill('SIGTERM');
          rmSync(dir, { recursive: true, force: true });
        },
      };
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  rmSync(dir, { recursive: true, force: true });
  return undefined;
}
