import {
  BLOCK_MAGIC,
  combineCrc,
  CRC_TABLE,
  END_MAGIC,
  GROUP_SIZE,
  LEVEL_BYTES,
  RUN_A,
  RUN_B,
} from './bzip2-format.ts';

/** bzip2 itself leaves this much of a block unused. */
const SLACK = 19;
const LEVEL = 9;
const LONGEST_RUN = 255;
const LONGEST_CODE = 17;

class BitWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;
  #hold = 0;
  #bits = 0;

  /** @param count 1 to 24 */
  write(value: number, count: number): void {
    this.#hold = (this.#hold << count) | value;
    this.#bits += count;
    while (this.#bits >= 8) {
      this.#bits -= 8;
      this.#push((this.#hold >>> this.#bits) & 0xff);
    }
    this.#hold &= (1 << this.#bits) - 1;
  }

  write32(value: number): void {
    this.write(value >>> 16, 16);
    this.write(value & 0xffff, 16);
  }

  #push(byte: number): void {
    if (this.#length === this.#bytes.length) {
      const grown = new Uint8Array(this.#length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes[this.#length++] = byte;
  }

  finish(): Uint8Array {
    if (this.#bits > 0) this.write(0, 8 - this.#bits);
    return this.#bytes.subarray(0, this.#length);
  }
}

interface Runs {
  readonly block: Uint8Array;
  readonly crc: number;
  /** Where the next block starts in the input. */
  readonly next: number;
}

/** Run lengths: four equal bytes are followed by how many more there are. Fills one block. */
function takeBlock(body: Uint8Array, from: number): Runs {
  const block = new Uint8Array(Math.min(LEVEL * LEVEL_BYTES - SLACK, Math.ceil((body.length - from) * 1.25) + 5));
  const limit = Math.min(block.length, LEVEL * LEVEL_BYTES - SLACK) - 5;
  let length = 0;
  let crc = 0xffffffff;
  let at = from;
  while (at < body.length && length <= limit) {
    const byte = body[at] as number;
    let run = 1;
    while (run < LONGEST_RUN && at + run < body.length && body[at + run] === byte) run++;
    for (let i = 0; i < run; i++) crc = (crc << 8) ^ (CRC_TABLE[((crc >>> 24) ^ byte) & 0xff] as number);
    for (let i = 0; i < Math.min(run, 4); i++) block[length++] = byte;
    if (run >= 4) block[length++] = run - 4;
    at += run;
  }
  return { block: block.subarray(0, length), crc: ~crc >>> 0, next: at };
}

/**
 * Sorts all rotations of the block by doubling the length that is compared, so that repetitive data costs no more
 * than any other. Returns the rotations' starts in order.
 */
function sortRotations(block: Uint8Array): Int32Array {
  const length = block.length;
  const size = Math.max(256, length) + 1;
  const order = new Int32Array(length);
  const shifted = new Int32Array(length);
  const heads = new Int32Array(size);
  let ranks = new Int32Array(length);
  let spare = new Int32Array(length);
  for (const byte of block) heads[byte + 1] = (heads[byte + 1] as number) + 1;
  for (let i = 1; i < size; i++) heads[i] = (heads[i] as number) + (heads[i - 1] as number);
  for (let i = 0; i < length; i++) {
    const byte = block[i] as number;
    order[heads[byte] as number] = i;
    heads[byte] = (heads[byte] as number) + 1;
  }
  let classes = 1;
  for (let i = 1; i < length; i++) {
    if (block[order[i] as number] !== block[order[i - 1] as number]) classes++;
    ranks[order[i] as number] = classes - 1;
  }
  for (let compared = 1; compared < length && classes < length; compared *= 2) {
    for (let i = 0; i < length; i++) {
      const start = (order[i] as number) - compared;
      shifted[i] = start < 0 ? start + length : start;
    }
    heads.fill(0, 0, classes + 1);
    for (let i = 0; i < length; i++) {
      const rank = (ranks[i] as number) + 1;
      heads[rank] = (heads[rank] as number) + 1;
    }
    for (let i = 1; i <= classes; i++) heads[i] = (heads[i] as number) + (heads[i - 1] as number);
    for (let i = 0; i < length; i++) {
      const start = shifted[i] as number;
      const rank = ranks[start] as number;
      order[heads[rank] as number] = start;
      heads[rank] = (heads[rank] as number) + 1;
    }
    spare[order[0] as number] = 0;
    classes = 1;
    for (let i = 1; i < length; i++) {
      const one = order[i] as number;
      const other = order[i - 1] as number;
      const same =
        ranks[one] === ranks[other] && ranks[(one + compared) % length] === ranks[(other + compared) % length];
      if (!same) classes++;
      spare[one] = classes - 1;
    }
    [ranks, spare] = [spare, ranks];
  }
  return order;
}

interface Symbols {
  readonly symbols: Uint16Array;
  readonly used: readonly number[];
  readonly start: number;
}

/** Burrows-Wheeler transform, move to front, zero runs in RUN_A and RUN_B. */
function transform(block: Uint8Array): Symbols {
  const length = block.length;
  const order = sortRotations(block);
  const present = new Uint8Array(256);
  for (const byte of block) present[byte] = 1;
  const used = Array.from(present.keys()).filter((byte) => present[byte] === 1);
  const front = Uint8Array.from(used);
  const symbols = new Uint16Array(length + 1);
  let count = 0;
  let zeros = 0;
  let start = 0;
  const endRun = (): void => {
    for (let left = zeros; left > 0; left = (left - 1) >> 1) symbols[count++] = left % 2 === 1 ? RUN_A : RUN_B;
    zeros = 0;
  };
  for (let i = 0; i < length; i++) {
    const rotation = order[i] as number;
    if (rotation === 0) start = i;
    const position = front.indexOf(block[rotation === 0 ? length - 1 : rotation - 1] as number);
    if (position === 0) {
      zeros++;
      continue;
    }
    endRun();
    const byte = front[position] as number;
    front.copyWithin(1, 0, position);
    front[0] = byte;
    symbols[count++] = position + 1;
  }
  endRun();
  symbols[count++] = used.length + 1;
  return { symbols: symbols.subarray(0, count), used, start };
}

/** Code lengths by Huffman's algorithm; frequencies are flattened until the longest fits. */
function codeLengths(frequencies: readonly number[]): Uint8Array {
  let weights = frequencies.map((frequency) => Math.max(1, frequency));
  for (;;) {
    const lengths = huffmanLengths(weights);
    if (lengths.every((length) => length <= LONGEST_CODE)) return lengths;
    weights = weights.map((weight) => 1 + (weight >> 1));
  }
}

function huffmanLengths(weights: readonly number[]): Uint8Array {
  const lengths = new Uint8Array(weights.length);
  let nodes = weights.map((weight, symbol) => ({ weight, symbols: [symbol] }));
  nodes.sort((a, b) => a.weight - b.weight);
  while (nodes.length > 1) {
    const [first, second] = nodes as [(typeof nodes)[number], (typeof nodes)[number]];
    const joined = { weight: first.weight + second.weight, symbols: [...first.symbols, ...second.symbols] };
    for (const symbol of joined.symbols) lengths[symbol] = (lengths[symbol] as number) + 1;
    nodes = nodes.slice(2);
    const at = nodes.findIndex((node) => node.weight > joined.weight);
    nodes.splice(at < 0 ? nodes.length : at, 0, joined);
  }
  return lengths;
}

function codes(lengths: Uint8Array): Int32Array {
  const result = new Int32Array(lengths.length);
  let code = 0;
  for (let length = 1; length <= LONGEST_CODE; length++) {
    for (let symbol = 0; symbol < lengths.length; symbol++) if (lengths[symbol] === length) result[symbol] = code++;
    code <<= 1;
  }
  return result;
}

function writeUsed(out: BitWriter, used: readonly number[]): void {
  const ranges = new Uint16Array(16);
  for (const byte of used) ranges[byte >> 4] = (ranges[byte >> 4] as number) | (0x8000 >>> (byte & 15));
  let present = 0;
  for (let range = 0; range < 16; range++) if (ranges[range] !== 0) present |= 0x8000 >>> range;
  out.write(present, 16);
  for (const members of ranges) if (members !== 0) out.write(members, 16);
}

function writeLengths(out: BitWriter, lengths: Uint8Array): void {
  let current = lengths[0] as number;
  out.write(current, 5);
  for (const length of lengths) {
    for (; current < length; current++) out.write(0b10, 2);
    for (; current > length; current--) out.write(0b11, 2);
    out.write(0, 1);
  }
}

function writeBlock(out: BitWriter, { block, crc }: Runs): void {
  const { symbols, used, start } = transform(block);
  const frequencies = Array.from({ length: used.length + 2 }, () => 0);
  for (const symbol of symbols) frequencies[symbol] = (frequencies[symbol] as number) + 1;
  const lengths = codeLengths(frequencies);
  const selectors = Math.ceil(symbols.length / GROUP_SIZE);
  out.write(BLOCK_MAGIC[0], 24);
  out.write(BLOCK_MAGIC[1], 24);
  out.write32(crc);
  out.write(0, 1);
  out.write(start, 24);
  writeUsed(out, used);
  // The format wants two tables at least: the same one twice, and every selector names the first.
  out.write(2, 3);
  out.write(selectors, 15);
  for (let i = 0; i < selectors; i++) out.write(0, 1);
  writeLengths(out, lengths);
  writeLengths(out, lengths);
  const bits = codes(lengths);
  for (const symbol of symbols) out.write(bits[symbol] as number, lengths[symbol] as number);
}

/** Compresses to bzip2 in blocks of 900 kB. One Huffman table a block: a few percent larger than bzip2's own. */
export function bzip2(body: Uint8Array): Uint8Array {
  const out = new BitWriter();
  out.write(0x425a68, 24);
  out.write(0x30 + LEVEL, 8);
  let crc = 0;
  for (let at = 0; at < body.length;) {
    const runs = takeBlock(body, at);
    writeBlock(out, runs);
    crc = combineCrc(crc, runs.crc);
    at = runs.next;
  }
  out.write(END_MAGIC[0], 24);
  out.write(END_MAGIC[1], 24);
  out.write32(crc);
  return out.finish();
}
