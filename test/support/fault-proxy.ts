import { connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

/*
 * A TCP proxy that misbehaves on request, between a client under test and a real server.
 *
 * pass        forwards
 * blackhole   sockets stay open, nothing is forwarded: a half-open link, or a frozen server
 * refuse      ends every connection at once with a reset: the server is gone
 */
export type FaultMode = 'pass' | 'blackhole' | 'refuse';

export interface FaultProxy extends AsyncDisposable {
  readonly port: number;
  /** What happens to present and new connections from now on. */
  mode: FaultMode;
  /** Connections open now. */
  readonly connections: number;
  /** Connections that were ever accepted. */
  readonly accepted: number;
  /** Resets every present connection. */
  reset(): void;
  /** Resets a new connection once this many bytes came back from the server; undefined: never. */
  cutAfterBytes: number | undefined;
  close(): Promise<void>;
}

class Proxy implements FaultProxy {
  readonly #server: Server;
  readonly #target: number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #mode: FaultMode = 'pass';
  cutAfterBytes: number | undefined;
  port = 0;
  accepted = 0;

  constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#accept(client));
  }

  async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) throw new Error('expected a TCP port');
    this.port = address.port;
    return this;
  }

  get mode(): FaultMode {
    return this.#mode;
  }

  set mode(mode: FaultMode) {
    this.#mode = mode;
    if (mode === 'refuse') this.reset();
    for (const [client, server] of this.#pairs) {
      for (const socket of [client, server]) {
        if (mode === 'pass') socket.resume();
        else socket.pause();
      }
    }
  }

  get connections(): number {
    return this.#pairs.size;
  }

  reset(): void {
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  async close(): Promise<void> {
    this.reset();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: Socket): void {
    this.accepted++;
    if (this.#mode === 'refuse') {
      client.resetAndDestroy();
      return;
    }
    const server = connect(this.#target, '127.0.0.1');
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    const limit = this.cutAfterBytes;
    let returned = 0;
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    client.on('data', (chunk) => server.write(chunk));
    server.on('data', (chunk) => {
      returned += chunk.length;
      if (limit === undefined || returned <= limit) {
        client.write(chunk);
        return;
      }
      client.resetAndDestroy();
      server.destroy();
    });
    for (const socket of pair) {
      socket.on('close', end);
      socket.on('error', end);
      if (this.#mode === 'blackhole') socket.pause();
    }
  }
}

/** A proxy in front of `127.0.0.1:target`, on a free port. */
export function faultProxy(target: number): Promise<FaultProxy> {
  return new Proxy(target).listen();
}
