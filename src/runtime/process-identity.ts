import { readFileSync, readlinkSync } from 'node:fs';

/*
 * identity   `<boot id>.<pid namespace>.<pid>.<start>`: one process of one machine between two boots, whoever has its pid later
 */

/** Names this process so that another one beside it can tell when it is gone; undefined where the platform has no way. */
export function processIdentity(pid: number = process.pid): string | undefined {
  const place = machine();
  const started = place === undefined ? undefined : startOf(pid);
  return started === undefined ? undefined : `${place}.${pid}.${started}`;
}

/** Whether a process is provably over. One of another machine or container never is, as far as can be seen from here. */
export function isGone(identity: string): boolean {
  const place = machine();
  if (place === undefined || !identity.startsWith(`${place}.`)) return false;
  const [pid, started] = identity.slice(place.length + 1).split('.');
  return started !== undefined && startOf(Number(pid)) !== started;
}

function machine(): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().replaceAll('-', '').slice(0, 12);
    const namespace = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0];
    return namespace === undefined ? undefined : `${boot}.${namespace}`;
  } catch {
    return undefined;
  }
}

/** When it began, in ticks since the boot; undefined for none, and for one that is dead and not yet buried. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
