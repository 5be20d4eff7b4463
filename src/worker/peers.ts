import { durationMs } from '../runtime/duration.ts';
import type { Connection, Transport } from '../transports/transport.ts';
import type { Cluster } from './cluster.ts';
import { Gossip } from './gossip.ts';
import { Heartbeat } from './heartbeat.ts';
import { Mingle } from './mingle.ts';
import type { WorkerOptions } from './options.ts';
import type { WorkerParts } from './parts.ts';

const HEARTBEAT_MS = 2_000;
/** Transports on which Celery's workers listen to each other. */
const GOSSIPING: ReadonlySet<string> = new Set(['redis', 'amqp']);

/** What a worker has to do with the others: hello at the start, heartbeats, gossip. Each where its options want it. */
export class Peers {
  readonly heartbeat: Heartbeat | undefined;
  readonly gossip: Gossip | undefined;
  readonly #mingle: Mingle | undefined;

  constructor(
    parts: WorkerParts,
    transport: Transport,
    cluster: Cluster,
    options: WorkerOptions,
    active: () => number,
  ) {
    const { fanout, shared } = transport.capabilities;
    if (!fanout) return;
    const intervalMs = durationMs(options.heartbeatInterval ?? HEARTBEAT_MS);
    if (!options.withoutHeartbeat) {
      const processed = (): number => [...parts.counters.total.values()].reduce((sum, count) => sum + count, 0);
      this.heartbeat = new Heartbeat(parts, intervalMs, active, processed);
    }
    // Elsewhere every heartbeat would be a message for every worker: only where it is asked for.
    if (!(options.withoutGossip ?? !GOSSIPING.has(transport.name))) {
      this.gossip = new Gossip(parts, transport, cluster, intervalMs);
    }
    if (!(options.withoutMingle ?? !shared)) this.#mingle = new Mingle(parts);
  }

  /** Before anything is consumed. */
  async greet(connection: Connection): Promise<void> {
    await this.#mingle?.sync(connection);
    await this.gossip?.attach(connection);
  }

  /** The worker consumes. */
  start(): void {
    this.heartbeat?.start();
    void this.#mingle?.findNamesake();
  }

  /** Harmless twice. */
  stop(): void {
    this.gossip?.close();
    this.heartbeat?.stop();
  }
}
