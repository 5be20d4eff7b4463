import type { SignatureDict } from '../protocol/task-message.ts';
import type { WorkerParts } from './parts.ts';

/*
 * election    all workers choose one among them that does something
 * candidate   a worker that answered the call, with its logical clock at that moment
 *
 * Everyone who is called announces itself (`worker-elect`) and confirms each announcement it sees (`worker-elect-ack`).
 * Whoever has seen as many confirmations as other workers live decides: the earliest candidate wins. All see the same
 * events, so all come to the same end, and nobody but the winner acts.
 *
 * Source: celery.worker.consumer.gossip. Differs: an election with one candidate is decided, where Celery crashes.
 */

interface Candidate {
  readonly clock: number;
  /** `hostname.pid` */
  readonly node: string;
  readonly topic: string;
  readonly action: unknown;
}

interface Election {
  readonly candidates: Candidate[];
  /** Confirmations so far; undefined while this worker was not called itself. */
  acks: number | undefined;
}

/** Elections that never came to an end; the oldest is forgotten first. */
const MOST = 1_000;
const MOST_CANDIDATES = 10_000;

export class Elections {
  readonly #parts: WorkerParts;
  readonly #others: () => number;
  readonly #elections = new Map<string, Election>();

  /** @param others how many other workers live */
  constructor(parts: WorkerParts, others: () => number) {
    this.#parts = parts;
    this.#others = others;
  }

  /** This worker was called. */
  call(id: string, topic: string, action: unknown): void {
    this.#election(id).acks = 0;
    this.#parts.events.send('worker-elect', { id, topic, action, cver: 1 });
  }

  /** A `worker-elect` event came, ours included. */
  candidate(event: Readonly<Record<string, unknown>>): void {
    const { id, clock, hostname, pid, topic, action } = event;
    if (typeof id !== 'string' || typeof clock !== 'number' || typeof topic !== 'string') {
      this.#parts.log.error({ event: event['type'], id }, 'election request missing field id, clock or topic');
      return;
    }
    const { candidates } = this.#election(id);
    if (candidates.length < MOST_CANDIDATES) {
      candidates.push({ clock, node: `${String(hostname)}.${String(pid)}`, topic, action });
    }
    this.#parts.events.send('worker-elect-ack', { id });
  }

  /** A `worker-elect-ack` event came, ours included. */
  confirmed(event: Readonly<Record<string, unknown>>): void {
    const id = event['id'];
    const election = typeof id === 'string' ? this.#elections.get(id) : undefined;
    if (election?.acks === undefined) return;
    election.acks++;
    if (election.acks < this.#others() || election.candidates.length === 0) return;
    this.#elections.delete(id as string);
    this.#decide(id as string, election.candidates);
  }

  #decide(id: string, candidates: readonly Candidate[]): void {
    const { hostname, log } = this.#parts;
    const winner = candidates.reduce((best, one) => (precedes(one, best) ? one : best));
    if (winner.node !== `${hostname}.${process.pid}`) {
      log.info({ id, node: winner.node }, `node ${winner.node} elected for '${id}'`);
      return;
    }
    log.info({ id }, `I won the election '${id}'`);
    if (winner.topic === 'task') void this.#send(id, winner.action);
    else log.error({ id, topic: winner.topic }, `unknown election topic '${winner.topic}'`);
  }

  async #send(id: string, action: unknown): Promise<void> {
    const { app, log } = this.#parts;
    try {
      if (typeof action !== 'object' || action === null) throw new TypeError('expected a signature as action');
      await app.signature(action as SignatureDict).delay();
    } catch (error) {
      log.error({ error, id }, 'the task of an election could not be sent');
    }
  }

  #election(id: string): Election {
    let election = this.#elections.get(id);
    if (election === undefined) {
      this.#elections.set(id, (election = { candidates: [], acks: undefined }));
      if (this.#elections.size > MOST) this.#elections.delete(this.#elections.keys().next().value as string);
    }
    return election;
  }
}

/** The earlier clock; with the same one the smaller name. Source: kombu.clocks.LamportClock.sort_heap. */
function precedes(a: Candidate, b: Candidate): boolean {
  return a.clock === b.clock ? a.node < b.node : a.clock < b.clock;
}
