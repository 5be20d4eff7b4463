import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { ImproperlyConfigured } from '../../errors.ts';
import { maskUrl } from '../../runtime/mask-url.ts';

/*
 * address   one node of the broker: where it is, as whom, and which virtual host
 *
 * amqp://[user:password@]host[:5672][/vhost]      amqps:// is the same over TLS, port 5671; pyamqp://, librabbitmq:// too
 * One leading slash of the path is dropped and the rest decoded: `/`, `//` and `/%2F` are the virtual host "/".
 *
 * Differs: `amqps://` verifies that the certificate is the host's unless `ssl_cert_reqs=none` is asked for; Python
 * verifies the chain and not the name.
 */

export interface AmqpAddress {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly vhost: string;
  readonly tls: ConnectionOptions | undefined;
  /** What the query says: transport options under Celery's names. */
  readonly options: Readonly<Record<string, string>>;
}

const SCHEMES = new Set(['amqp', 'amqps', 'pyamqp', 'librabbitmq']);

/** Of the query; others are told about and left out, as a URL may be shared with Python. */
const QUERY_OPTIONS: Readonly<Record<string, string>> = {
  heartbeat: 'heartbeat',
  connect_timeout: 'connect_timeout',
  connection_timeout: 'connect_timeout',
  login_method: 'login_method',
  frame_max: 'frame_max',
  channel_max: 'channel_max',
};
const SSL_OPTION = /^(?:ssl_)?(keyfile|certfile|ca_certs|cert_reqs|ciphers|server_hostname)$/;

/**
 * @param unknown called with each query parameter that means nothing here
 * @throws {ImproperlyConfigured} when the URL cannot be read
 */
export function parseAmqpUrl(
  url: string,
  ssl: Readonly<Record<string, unknown>> | undefined,
  unknown: (name: string) => void,
): AmqpAddress {
  const parsed = parse(url);
  const scheme = parsed.protocol.slice(0, -1).toLowerCase();
  const options: Record<string, string> = {};
  const querySsl: Record<string, unknown> = {};
  let secure = scheme === 'amqps' || ssl !== undefined;
  for (const [key, value] of parsed.searchParams) {
    const option = QUERY_OPTIONS[key];
    const tls = SSL_OPTION.exec(key)?.[1];
    if (option !== undefined) options[option] = value;
    else if (tls !== undefined) querySsl[tls] = value;
    else if (key === 'ssl') secure ||= /^(?:true|1|yes|on)$/i.test(value);
    else unknown(key);
  }
  const host = hostOf(parsed);
  return {
    // Where a name has two addresses, kombu takes the older one too.
    host: host === 'localhost' ? '127.0.0.1' : host,
    port: parsed.port === '' ? (secure ? 5671 : 5672) : Number(parsed.port),
    username: parsed.username === '' && parsed.password === '' ? 'guest' : decode(parsed.username, url),
    password: parsed.username === '' && parsed.password === '' ? 'guest' : decode(parsed.password, url),
    vhost: decode(parsed.pathname.replace(/^\//, ''), url) || '/',
    tls: secure ? tlsOptions({ ...querySsl, ...ssl }, host) : undefined,
    options,
  };
}

function parse(url: string): URL {
  try {
    const parsed = new URL(/^[a-z][a-z\d+.-]*:\/\//i.test(url) ? url : `${url.replace(/:$/, '')}://`);
    if (SCHEMES.has(parsed.protocol.slice(0, -1).toLowerCase())) return parsed;
  } catch {
    // Told below, without the cause: it has the whole URL, password and all.
  }
  throw new ImproperlyConfigured(
    `cannot read the AMQP URL "${maskUrl(url)}": expected amqp://[user:password@]host[:port][/vhost], special characters percent-encoded`,
  );
}

function decode(text: string, url: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ImproperlyConfigured(`"${maskUrl(url)}" has a "%" that begins no percent-encoding: write it as %25`);
  }
}

function hostOf(url: URL): string {
  const host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1');
  return host === '' ? 'localhost' : host;
}

/** Celery's names with and without `ssl_`, or Node's own TLS options as they are. */
function tlsOptions(given: Readonly<Record<string, unknown>>, host: string): ConnectionOptions {
  const node: Record<string, unknown> = {};
  const celery: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    const name = SSL_OPTION.exec(key)?.[1];
    if (name !== undefined) celery[name] = value;
    else if (key !== 'ssl_version' && key !== 'context') node[key] = value;
  }
  const options: ConnectionOptions = node;
  const name = celery['server_hostname'] ?? host;
  if (typeof name === 'string' && !/^[\d.]+$|:/.test(name)) options.servername ??= name;
  if (celery['cert_reqs'] !== undefined) options.rejectUnauthorized = verifies(celery['cert_reqs']);
  if (celery['ca_certs'] !== undefined) options.ca = file('ca_certs', celery['ca_certs']);
  if (celery['certfile'] !== undefined) options.cert = file('certfile', celery['certfile']);
  if (celery['keyfile'] !== undefined) options.key = file('keyfile', celery['keyfile']);
  if (celery['ciphers'] !== undefined) options.ciphers = String(celery['ciphers']);
  return options;
}

function verifies(value: unknown): boolean {
  // Python's ssl module counts CERT_NONE 0, CERT_OPTIONAL 1, CERT_REQUIRED 2.
  const name = String(value)
    .toLowerCase()
    .replace(/^(?:ssl\.)?cert_/, '');
  if (name === 'none' || name === '0') return false;
  if (['optional', 'required', '1', '2'].includes(name)) return true;
  throw new ImproperlyConfigured(`expected cert_reqs to be required, optional or none, got ${JSON.stringify(value)}`);
}

function file(option: string, path: unknown): Buffer {
  try {
    return readFileSync(String(path));
  } catch (cause) {
    throw new ImproperlyConfigured(`cannot read the file that ${option} names: ${String(path)}`, { cause });
  }
}
