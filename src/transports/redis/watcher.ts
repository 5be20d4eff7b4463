import { replyCode } from './errors.ts';
import type { RedisSocket } from './socket.ts';

/** How long the server keeps an unanswered look open; its answer also proves that the connection lives. */
const BLOCK_SECONDS = 5;

/**
 * Learns that a list is not empty without taking anything: the rightmost element is moved onto itself, which leaves the
 * order as it is and serves other clients that block. Needs Redis 6.2.
 */
export class Watcher {
  readonly key: string;
  readonly #socket: RedisSocket;
  readonly #onReady: () => void;
  readonly #onAnswer: () => void;
  #looking = false;
  /** The server does not know the command, or the key is no list: somebody must poll. */
  #blind = false;

  constructor(key: string, socket: RedisSocket, onReady: () => void, onAnswer: () => void) {
    this.key = key;
    this.#socket = socket;
    this.#onReady = onReady;
    this.#onAnswer = onAnswer;
  }

  get blind(): boolean {
    return this.#blind;
  }

  /** Looks until something is there or `wanted` says that nobody cares any more. */
  look(wanted: () => boolean): void {
    if (this.#looking || this.#blind) return;
    this.#looking = true;
    void this.#look(wanted);
  }

  async #look(wanted: () => boolean): Promise<void> {
    try {
      for (;;) {
        const args = [this.key, this.key, 'RIGHT', 'RIGHT', BLOCK_SECONDS];
        const found = await this.#socket.block(BLOCK_SECONDS * 1000, 'BLMOVE', ...args);
        this.#onAnswer();
        if (found !== null) return this.#onReady();
        if (!wanted()) return;
      }
    } catch (error) {
      // A lost socket ends the connection by itself. Everything else will be met again by the next claim.
      this.#blind = !this.#socket.ended;
      if (replyCode((error as Error).cause) !== undefined) this.#onReady();
    } finally {
      this.#looking = false;
    }
  }
}
