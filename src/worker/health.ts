import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { existsSync, unlinkSync } from 'node:fs';
import { ImproperlyConfigured } from '../errors.ts';
import { deferred } from '../runtime/deferred.ts';
import type { WorkerVitals } from './vitals.ts';

/** What a health server tells about: a `Worker`. */
export interface Examined {
  readonly hostname: string;
  readonly vitals: WorkerVitals | undefined;
}

export interface HealthOptions {
  /** A port, `host:port`, or the path of a Unix socket. */
  readonly listen: string;
  /** The text of `/metrics`; without it there is no such page. */
  readonly metrics?: (() => Promise<{ readonly contentType: string; readonly text: string }>) | undefined;
}

/** Where a health server listens. */
type Place = { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * Answers whether a worker is well: `/live` with 200 while its event loop turns, `/ready` with 200 while it is proven
 * to consume and 503 otherwise, both with a JSON body; `/metrics` where metrics are collected.
 * `node:http` is loaded when one is started.
 */
export class HealthServer implements AsyncDisposable {
  readonly #worker: Examined;
  readonly #options: HealthOptions;
  #server: Server | undefined;
  #closing: Promise<void> | undefined;

  constructor(worker: Examined, options: HealthOptions) {
    this.#worker = worker;
    this.#options = options;
  }

  /** Where it listens: `127.0.0.1:8080`, or the socket's path; undefined while it does not. */
  get address(): string | undefined {
    const address = this.#server?.address();
    if (!address) return undefined;
    return typeof address === 'string' ? address : `${address.address}:${address.port}`;
  }

  /**
   * Resolves when it listens. A stale socket file in its place is replaced.
   * @throws {ImproperlyConfigured} when it cannot listen there
   */
  async start(): Promise<void> {
    const place = placeOf(this.#options.listen);
    const { createServer } = await import('node:http');
    const server = createServer((request, response) => void this.#answer(request, response));
    // A probe that stalls must not hold a connection for ever.
    server.requestTimeout = 10_000;
    server.headersTimeout = 10_000;
    if ('path' in place && existsSync(place.path) && !(await isServed(place.path))) unlinkSync(place.path);
    const listening = deferred();
    server.once('error', listening.reject);
    server.listen(place, () => listening.resolve());
    try {
      await listening.promise;
    } catch (cause) {
      throw new ImproperlyConfigured(
        `the health server cannot listen on ${this.#options.listen}: ${(cause as Error).message}`,
        { cause },
      );
    }
    server.on('error', () => {});
    // The worker decides how long the process lives.
    server.unref();
    this.#server = server;
  }

  /** Harmless twice. */
  close(): Promise<void> {
    const server = this.#server;
    if (!server) return Promise.resolve();
    this.#closing ??= new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?', 1)[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, { error: 'GET only' });
    const { hostname, vitals } = this.#worker;
    switch (path) {
      case '/live':
        return send(response, 200, { worker: hostname, live: true });
      case '/ready': {
        const ready = vitals?.state === 'consuming';
        return send(response, ready ? 200 : 503, { worker: hostname, ready, state: 'starting', ...vitals });
      }
      case '/metrics':
        return this.#metrics(response);
      default:
        return send(response, 404, { error: 'try /live, /ready or /metrics' });
    }
  }

  async #metrics(response: ServerResponse): Promise<void> {
    const { metrics } = this.#options;
    if (!metrics) return send(response, 404, { error: 'no metrics are collected: npm install prom-client' });
    try {
      const { contentType, text } = await metrics();
      response.writeHead(200, { 'content-type': contentType }).end(text);
    } catch (error) {
      send(response, 500, { error: String(error) });
    }
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response
    .writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    .end(`${JSON.stringify(body)}\n`);
}

/** @throws {ImproperlyConfigured} when it is no place to listen */
function placeOf(listen: string): Place {
  if (listen.includes('/')) return { path: listen };
  const [, host = '0.0.0.0', digits = ''] = /^(?:(.+):)?(\d{1,5})$/.exec(listen) ?? [];
  const port = Number(digits);
  if (digits !== '' && port <= 65_535) return { host: host.replace(/^\[(.*)\]$/, '$1'), port };
  throw new ImproperlyConfigured(
    `health: expected a port, host:port, or the path of a Unix socket (with a /), got "${listen}"`,
  );
}

/** Whether somebody answers on a Unix socket. */
async function isServed(path: string): Promise<boolean> {
  const { connect } = await import('node:net');
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (served: boolean): void => {
      socket.destroy();
      resolve(served);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
