import type { Timer } from '../runtime/clock.ts';
import { EventDispatcher } from '../events/dispatcher.ts';
import type { WorkerParts } from './parts.ts';
import { SOFTWARE } from './software.ts';

/** Tells the cluster that this worker lives: online, then every interval, then offline. */
export class Heartbeat {
  readonly #parts: WorkerParts;
  readonly #intervalMs: number;
  readonly #active: () => number;
  readonly #processed: () => number;
  #timer: Timer | undefined;
  #beating = false;

  constructor(parts: WorkerParts, intervalMs: number, active: () => number, processed: () => number) {
    this.#parts = parts;
    this.#intervalMs = intervalMs;
    this.#active = active;
    this.#processed = processed;
  }

  start(): void {
    if (this.#beating) return;
    this.#beating = true;
    this.#send('worker-online');
    this.#next();
  }

  /** Harmless twice. */
  stop(): void {
    if (!this.#beating) return;
    this.#beating = false;
    this.#timer?.cancel();
    this.#send('worker-offline');
  }

  /** `worker-online` again, after events were switched on. */
  announce(): void {
    if (this.#beating) this.#send('worker-online');
  }

  #next(): void {
    this.#timer = this.#parts.app.clock.setTimer(
      this.#intervalMs,
      () => {
        this.#send('worker-heartbeat');
        this.#next();
      },
      { keepAlive: false },
    );
  }

  #send(type: string): void {
    const { app, events, hostname } = this.#parts;
    events.send(type, {
      freq: this.#intervalMs / 1000,
      active: this.#active(),
      processed: this.#processed(),
      ...EventDispatcher.load(),
      ...SOFTWARE,
    });
    if (type === 'worker-heartbeat' && app.signals.has('heartbeatSent')) {
      void app.signals.emit('heartbeatSent', { sender: hostname });
    }
  }
}
