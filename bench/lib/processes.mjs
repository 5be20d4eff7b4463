// Child processes of a measurement: start, wait for a line, end.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const DEADLINE_MS = 180_000;

/** Starts `command`; `next()` gives each JSON line it prints, in order. Its errors go to ours. */
export function start({ command, args, env, cwd }, deadlineMs = DEADLINE_MS) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env }, cwd });
  const lines = [];
  const waiting = [];
  let ended;
  const settle = () => {
    while (waiting.length > 0 && (lines.length > 0 || ended)) {
      const { resolve, reject, timer } = waiting.shift();
      clearTimeout(timer);
      if (lines.length > 0) resolve(lines.shift());
      else reject(new Error(`${command} ${args[0]} ended (${ended}) before it answered`));
    }
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('{')) return;
    lines.push(JSON.parse(line));
    settle();
  });
  child.on('exit', (code, signal) => {
    ended = signal ?? `code ${code}`;
    setImmediate(settle);
  });
  const exited = new Promise((resolve) => child.on('exit', resolve));
  return {
    child,
    next: () =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${args[0]} gave no answer in ${deadlineMs} ms`)), deadlineMs);
        waiting.push({ resolve, reject, timer });
        settle();
      }),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), 3_000);
      await exited;
      clearTimeout(killer);
    },
  };
}

/** Runs `command` for its one JSON line. */
export async function ask(spec, deadlineMs) {
  const running = start(spec, deadlineMs);
  try {
    return await running.next();
  } finally {
    await running.stop();
  }
}
