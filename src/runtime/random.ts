import { randomFillSync } from 'node:crypto';

/** Chance as the library sees it. A seeded one replays a whole run. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** A version 4 UUID in lower case: task ids, delivery tags, tickets. */
  uuid(): string;
}

const HEX = Buffer.from('0123456789abcdef');
const DASH = 0x2d;
const BUFFERED_IDS = 256;

/** Written as bytes and read once: joining texts would leave a tree of twenty pieces behind each id. */
function formatUuid(bytes: Uint8Array, at: number, text: Buffer): string {
  let to = 0;
  for (let i = 0; i < 16; i++) {
    let byte = bytes[at + i] as number;
    if (i === 6) byte = (byte & 0x0f) | 0x40;
    else if (i === 8) byte = (byte & 0x3f) | 0x80;
    if (i === 4 || i === 6 || i === 8 || i === 10) text[to++] = DASH;
    text[to++] = HEX[byte >> 4] as number;
    text[to++] = HEX[byte & 15] as number;
  }
  return text.toString('latin1');
}

/** Cryptographic randomness, drawn in blocks because one system call per id costs more than the id. */
export function systemRandom(): Random {
  const pool = new Uint8Array(16 * BUFFERED_IDS);
  const text = Buffer.allocUnsafeSlow(36);
  let used = pool.length;
  return {
    next: () => Math.random(),
    uuid: () => {
      if (used === pool.length) {
        randomFillSync(pool);
        used = 0;
      }
      const id = formatUuid(pool, used, text);
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
        Buffer.allocUnsafeSlow(36),
      ),
  };
}
