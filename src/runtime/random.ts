import { randomFillSync } from 'node:crypto';

/** Chance as the library sees it. A seeded one replays a whole run. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** A version 4 UUID in lower case: task ids, delivery tags, tickets. */
  uuid(): string;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const BUFFERED_IDS = 256;

function formatUuid(bytes: Uint8Array, at: number): string {
  let text = '';
  for (let i = 0; i < 16; i++) {
    let byte = bytes[at + i] as number;
    if (i === 6) byte = (byte & 0x0f) | 0x40;
    if (i === 8) byte = (byte & 0x3f) | 0x80;
    text += HEX[byte];
    if (i === 3 || i === 5 || i === 7 || i === 9) text += '-';
  }
  return text;
}

/** Cryptographic randomness, drawn in blocks because one system call per id costs more than the id. */
export function systemRandom(): Random {
  const pool = new Uint8Array(16 * BUFFERED_IDS);
  let used = pool.length;
  return {
    next: () => Math.random(),
    uuid: () => {
      if (used === pool.length) {
        randomFillSync(pool);
        used = 0;
      }
      const id = formatUuid(pool, used);
      used += 16;
      return id;
    },
  };
}

/** The same sequence for the same seed (mulberry32). For tests and simulations, never for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    uuid: () =>
      formatUuid(
        Uint8Array.from({ length: 16 }, () => Math.floor(next() * 256)),
        0,
      ),
  };
}
