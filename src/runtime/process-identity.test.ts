import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { isGone, processIdentity } from './process-identity.ts';

test.skipIf(process.platform !== 'linux')(
  'a process is gone when it has ended, and not before (Linux only)',
  async () => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] });
    await once(child, 'spawn');
    const identity = processIdentity(child.pid) as string;
    expect(isGone(identity)).toBe(false);
    child.kill('SIGSTOP');
    expect(isGone(identity)).toBe(false);
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    expect(isGone(identity)).toBe(true);
  },
);

test.skipIf(process.platform !== 'linux')(
  'a pid that was used again, another machine, another container (Linux only)',
  () => {
    const own = processIdentity() as string;
    expect(isGone(own)).toBe(false);
    const [boot, namespace, pid] = own.split('.') as [string, string, string];
    expect(isGone(`${boot}.${namespace}.${pid}.1`)).toBe(true);
    expect(isGone(`${boot}.${Number(namespace) + 1}.${pid}.1`)).toBe(false);
    expect(isGone(`ffffffffffff.${namespace}.${pid}.1`)).toBe(false);
    expect(isGone('')).toBe(false);
  },
);
