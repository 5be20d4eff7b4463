import { startPulse, type Pulse } from '../../runtime/pulse.ts';
import type { KeySpace } from './keys.ts';
import type { RedisSettings } from './options.ts';
import type { RedisAddress } from './url.ts';

/** What the thread connects to. */
export interface PulsePlace {
  readonly address: RedisAddress;
  /** Where the connection it stands in for leads: sentinels have chosen. */
  readonly remote: { readonly host: string; readonly port: number } | undefined;
}

/**
 * Says that holders live, while the event loop cannot: `lease` is their ids. What is said is only ever that a lease goes on
 * which has not run out. Plain RESP on a socket of its own, opened when it is needed.
 */
const CODE = `
const { data } = workerData;
const open = () => {
  const to = data.path ? { path: data.path } : { host: data.host, port: data.port };
  const socket = data.tls ? require('node:tls').connect({ ...data.tls, ...to }) : require('node:net').connect(to);
  socket.on('error', () => rest());
  socket.on('data', () => {});
  if (data.login) send(socket, ['AUTH', ...data.login]);
  if (data.db) send(socket, ['SELECT', data.db]);
  return socket;
};
const send = (socket, words) =>
  socket.write('*' + words.length + '\\r\\n' + words.map((word) => '$' + Buffer.byteLength(String(word)) + '\\r\\n' + word + '\\r\\n').join(''));
const SCRIPT = "local time = redis.call('TIME') for i = 2, #ARGV do local lease = redis.call('ZSCORE', KEYS[1], ARGV[i]) " +
  "if lease and tonumber(lease) > tonumber(time[1]) then redis.call('ZADD', KEYS[1], tonumber(time[1]) + tonumber(ARGV[1]), ARGV[i]) end end";
let socket;
function renew(ids) {
  if (ids.length === 0) return;
  socket ??= open();
  send(socket, ['EVAL', SCRIPT, 1, data.workers, data.lease, ...ids]);
}
function rest() {
  socket?.destroy();
  socket = undefined;
}
`;

export function redisPulse(
  { address, remote }: PulsePlace,
  login: readonly string[] | undefined,
  keys: KeySpace,
  settings: RedisSettings,
): Pulse | undefined {
  const { leaseMs, visibilityTimeoutMs } = settings;
  return startPulse(CODE, {
    silentMs: Math.min(leaseMs / 3, 5_000),
    longestMs: visibilityTimeoutMs,
    data: {
      ...(remote ?? { host: address.host, port: address.port }),
      path: address.kind === 'unix' ? address.path : undefined,
      tls: address.tls,
      login,
      db: address.db,
      workers: keys.workers,
      lease: leaseMs / 1000,
    },
  });
}
