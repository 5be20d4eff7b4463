import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { ImproperlyConfigured } from '../../errors.ts';
import { maskUrl } from '../../runtime/mask-url.ts';
import type { RedisSettings } from './options.ts';

/*
 * address   where one data node is reached, and as whom
 *
 * redis://[user:password@]host[:6379][/db]        rediss:// is the same over TLS; valkey://, valkeys:// too
 * redis+socket://[user:password@]/path.sock[?virtual_host=db]
 * sentinel://h1:26379/db;sentinel://h2:26379      with the option master_name
 *
 * Differs: `rediss://` verifies the server's certificate unless `ssl_cert_reqs=none` is asked for;
 * Python's transport verifies nothing by default.
 */

export interface RedisAddress {
  readonly kind: 'tcp' | 'unix' | 'sentinel';
  readonly host: string;
  readonly port: number;
  /** Unix socket. */
  readonly path: string | undefined;
  readonly sentinels: readonly { readonly host: string; readonly port: number }[];
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
  readonly tls: ConnectionOptions | undefined;
}

const DEFAULT_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26_379;
const SSL_KEYS: ReadonlySet<string> = new Set([
  'ssl_cert_reqs',
  'ssl_ca_certs',
  'ssl_certfile',
  'ssl_keyfile',
  'ssl_check_hostname',
]);

/** @throws {ImproperlyConfigured} when the URL cannot be read, or asks for what this driver does not have */
export function parseRedisUrl(url: string, settings: RedisSettings): RedisAddress {
  const parts = url
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const first = parse(parts[0] ?? '', url);
  const scheme = first.protocol.slice(0, -1).toLowerCase();
  const sentinel = scheme === 'sentinel';
  const unix = scheme === 'redis+socket';
  const secure = scheme === 'rediss' || scheme === 'valkeys';
  const query = readQuery(first, url);
  const ssl = { ...query.ssl, ...settings.ssl };
  if (sentinel && settings.masterName === undefined) {
    throw new ImproperlyConfigured(
      `"${maskUrl(url)}" needs the transport option master_name: the name under which the sentinels watch the master`,
    );
  }
  return {
    kind: sentinel ? 'sentinel' : unix ? 'unix' : 'tcp',
    host: hostOf(first),
    port: first.port === '' ? (sentinel ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT) : Number(first.port),
    path: unix ? decodeURIComponent(first.pathname) : undefined,
    sentinels: sentinel
      ? parts.map((part) => {
          const node = parse(part.includes('://') ? part : `sentinel://${part}`, url);
          return { host: hostOf(node), port: node.port === '' ? DEFAULT_SENTINEL_PORT : Number(node.port) };
        })
      : [],
    username: first.username === '' ? undefined : decodeURIComponent(first.username),
    password: first.password === '' ? undefined : decodeURIComponent(first.password),
    db: database(unix ? (query.virtualHost ?? '') : (query.virtualHost ?? decodeURIComponent(first.pathname)), url),
    tls: secure || settings.ssl !== undefined ? tlsOptions(ssl, hostOf(first)) : undefined,
  };
}

/** Whether the connection is encrypted without knowing to whom. */
export function unverified(address: RedisAddress): boolean {
  return address.tls?.rejectUnauthorized === false;
}

function parse(part: string, whole: string): URL {
  try {
    return new URL(part);
  } catch {
    // Without the cause: it has the whole URL, password and all.
    throw new ImproperlyConfigured(
      `cannot read the Redis URL "${maskUrl(whole)}": expected redis://[user:password@]host[:port][/db]`,
    );
  }
}

function hostOf(url: URL): string {
  const host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1');
  return host === '' ? 'localhost' : host;
}

function database(text: string, url: string): number {
  const name = text.replace(/^\//, '');
  if (name === '') return 0;
  if (!/^\d+$/.test(name)) {
    throw new ImproperlyConfigured(
      `expected a database number in "${maskUrl(url)}", as in redis://host/0, got "${name}"`,
    );
  }
  return Number(name);
}

function readQuery(parsed: URL, url: string): { virtualHost: string | undefined; ssl: Record<string, unknown> } {
  const ssl: Record<string, unknown> = {};
  let virtualHost: string | undefined;
  for (const [key, value] of parsed.searchParams) {
    if (SSL_KEYS.has(key)) ssl[key] = value;
    else if (key === 'virtual_host' || key === 'db') virtualHost = value;
    else {
      throw new ImproperlyConfigured(
        `"${key}" is not a parameter of a Redis URL ("${maskUrl(url)}"): expected virtual_host, ` +
          `${[...SSL_KEYS].join(', ')}; everything else goes into the transport options`,
      );
    }
  }
  return { virtualHost, ssl };
}

/** Celery's `ssl_*` names, or Node's own TLS options as they are. */
function tlsOptions(ssl: Readonly<Record<string, unknown>>, host: string): ConnectionOptions {
  const { ssl_cert_reqs, ssl_ca_certs, ssl_certfile, ssl_keyfile, ssl_check_hostname, ...node } = ssl;
  const options: ConnectionOptions = { ...node };
  if (!/^[\d.]+$|:/.test(host)) options.servername ??= host;
  if (ssl_cert_reqs !== undefined) options.rejectUnauthorized = requirement(ssl_cert_reqs) !== 'none';
  if (ssl_ca_certs !== undefined) options.ca = file('ssl_ca_certs', ssl_ca_certs);
  if (ssl_certfile !== undefined) options.cert = file('ssl_certfile', ssl_certfile);
  if (ssl_keyfile !== undefined) options.key = file('ssl_keyfile', ssl_keyfile);
  if (ssl_check_hostname !== undefined && String(ssl_check_hostname).toLowerCase() === 'false') {
    options.checkServerIdentity = () => undefined;
  }
  return options;
}

function requirement(value: unknown): 'required' | 'optional' | 'none' {
  // Python's ssl module counts CERT_NONE 0, CERT_OPTIONAL 1, CERT_REQUIRED 2.
  const byNumber = ['none', 'optional', 'required'];
  const name =
    typeof value === 'number'
      ? byNumber[value]
      : String(value)
          .toLowerCase()
          .replace(/^cert_/, '');
  if (name === 'required' || name === 'optional' || name === 'none') return name;
  throw new ImproperlyConfigured(
    `expected ssl_cert_reqs to be required, optional or none, got ${JSON.stringify(value)}`,
  );
}

function file(option: string, path: unknown): Buffer {
  try {
    return readFileSync(String(path));
  } catch (cause) {
    throw new ImproperlyConfigured(`cannot read the file that ${option} names: ${String(path)}`, { cause });
  }
}
