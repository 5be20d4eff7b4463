#!/usr/bin/env node
import { systemClock } from '../runtime/clock.ts';
import type { Io } from './io.ts';
import { run } from './program.ts';
import { followStandIn, respawn } from './respawn.ts';

const io: Io = {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  clock: systemClock,
  signals: process,
  cwd: () => process.cwd(),
  chdir: (directory) => process.chdir(directory),
  exit: (code) => process.exit(code),
  respawn,
};
followStandIn();

// A reader that has seen enough (`celeriac inspect conf | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
});

/** About a century. */
const LIFETIME_MS = 100 * 365 * 24 * 3_600_000;

// A worker without work, or a wait for a result, may leave the process nothing else to stay alive for.
const hold = systemClock.setTimer(LIFETIME_MS, () => {});

void run(process.argv.slice(2), io).then((code) => {
  hold.cancel();
  process.exitCode = code;
  // What the app left open (its own database connections, say) must not keep a finished command alive; but
  // a pipe has to be emptied first.
  process.stderr.write('', () => process.stdout.write('', () => process.exit(code)));
});
