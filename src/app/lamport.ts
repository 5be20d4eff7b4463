/** Logical clock shared by everything one app sends and receives. Source: kombu.clocks.LamportClock. */
export class Lamport {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  /** The stamp for something about to be sent. */
  tick(): number {
    return ++this.#value;
  }

  /** Moves past a stamp that came from elsewhere. Anything that is no finite number only counts as an event. */
  adjust(other: unknown): number {
    const seen = typeof other === 'number' && Number.isFinite(other) ? other : 0;
    this.#value = Math.max(this.#value, seen) + 1;
    return this.#value;
  }
}
