import { ClusterState } from '../events/cluster-state.ts';
import type { WorkerState } from '../events/worker-state.ts';
import type { Logger } from '../runtime/logger.ts';

/** A worker came, left in peace, or was not heard of for two of its heartbeats. */
export type ClusterChange = 'join' | 'leave' | 'lost';
export type ClusterListener = (worker: WorkerState) => void;

/** The other workers, as gossip tells of them. */
export class Cluster {
  readonly #log: Logger;
  readonly #listeners = new Map<ClusterChange, Set<ClusterListener>>();
  readonly #state: ClusterState;

  constructor(log: Logger) {
    this.#log = log;
    this.#state = new ClusterState({
      maxTasks: 1,
      log,
      onNodeJoin: (worker) => this.#tell('join', worker),
      onNodeLeave: (worker) => this.#tell('leave', worker),
    });
  }

  /** Those that were heard of and not lost; without this worker. */
  get members(): readonly WorkerState[] {
    return [...this.#state.workers.values()];
  }

  /** @returns a function that stops listening */
  on(change: ClusterChange, listener: ClusterListener): () => void {
    let listeners = this.#listeners.get(change);
    if (listeners === undefined) this.#listeners.set(change, (listeners = new Set()));
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** @internal */
  apply(event: { readonly type: string }): void {
    this.#state.apply(event);
  }

  /** Those whose last heartbeat is recent enough. @internal */
  alive(nowSeconds: number): number {
    return this.#state.aliveWorkers(nowSeconds).length;
  }

  /** Forgets whom nobody has heard of. @internal */
  check(nowSeconds: number): void {
    for (const worker of this.members) {
      if (worker.isAlive(nowSeconds)) continue;
      this.#state.workers.delete(worker.hostname);
      this.#log.info({ node: worker.hostname }, `missed heartbeat from ${worker.hostname}`);
      this.#tell('lost', worker);
    }
  }

  #tell(change: ClusterChange, worker: WorkerState): void {
    for (const listener of this.#listeners.get(change) ?? []) {
      try {
        listener(worker);
      } catch (error) {
        this.#log.error({ error, change, node: worker.hostname }, 'a listener for the cluster failed');
      }
    }
  }
}
