import { DecodeError } from '../errors.ts';
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

const LONGEST_CODE = 20;

function broken(what: string): DecodeError {
  return new DecodeError(`bzip2: ${what}`);
}

class BitReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #hold = 0;
  #bits = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** @param count 1 to 24 */
  read(count: number): number {
    while (this.#bits < count) {
      if (this.#at >= this.#bytes.length) throw broken('the data ends too early');
      this.#hold = ((this.#hold << 8) | (this.#bytes[this.#at++] as number)) >>> 0;
      this.#bits += 8;
    }
    this.#bits -= count;
    const value = (this.#hold >>> this.#bits) & ((1 << count) - 1);
    this.#hold &= (1 << this.#bits) - 1;
    return value;
  }

  read32(): number {
    return ((this.read(16) << 16) | this.read(16)) >>> 0;
  }

  /** Skips to the next whole byte and tells whether `length` more are there. */
  alignAndHas(length: number): boolean {
    this.#bits -= this.#bits % 8;
    this.#hold &= (1 << this.#bits) - 1;
    return this.#bytes.length - this.#at + this.#bits / 8 >= length;
  }
}

/** Collects the output and refuses to grow beyond the limit. */
class Output {
  #bytes: Uint8Array;
  #length = 0;
  readonly #limit: number;

  constructor(expected: number, limit: number) {
    this.#limit = limit;
    this.#bytes = new Uint8Array(Math.min(limit, Math.max(expected, 256)));
  }

  push(byte: number, times: number): void {
    const end = this.#length + times;
    if (end > this.#limit) {
      throw new DecodeError(`a body compressed with bzip2 is larger than ${this.#limit} bytes`, {
        code: 'ERR_TOO_LARGE',
      });
    }
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(this.#limit, Math.max(end, this.#bytes.length * 2)));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    if (times === 1) this.#bytes[this.#length] = byte;
    else this.#bytes.fill(byte, this.#length, end);
    this.#length = end;
  }

  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

interface HuffmanTable {
  readonly shortest: number;
  /** Largest code of each length, left-aligned nowhere: compared with as many bits. */
  readonly limit: Int32Array;
  readonly base: Int32Array;
  readonly symbols: Uint16Array;
}

function huffmanTable(lengths: Uint8Array): HuffmanTable {
  const counts = new Int32Array(LONGEST_CODE + 2);
  for (const length of lengths) counts[length] = (counts[length] as number) + 1;
  const symbols = new Uint16Array(lengths.length);
  const limit = new Int32Array(LONGEST_CODE + 2).fill(-1);
  const base = new Int32Array(LONGEST_CODE + 2);
  let code = 0;
  let index = 0;
  let shortest = 0;
  for (let length = 1; length <= LONGEST_CODE; length++) {
    const count = counts[length] as number;
    if (count > 0 && shortest === 0) shortest = length;
    base[length] = code - index;
    for (let symbol = 0; symbol < lengths.length; symbol++) if (lengths[symbol] === length) symbols[index++] = symbol;
    code += count;
    if (code > 1 << length) throw broken('impossible Huffman code');
    limit[length] = count > 0 ? code - 1 : -1;
    code <<= 1;
  }
  return { shortest, limit, base, symbols };
}

function readSymbol(bits: BitReader, table: HuffmanTable): number {
  let length = table.shortest;
  let code = bits.read(length);
  for (;;) {
    const position = code - (table.base[length] as number);
    if (code <= (table.limit[length] as number) && position >= 0) return table.symbols[position] as number;
    if (++length > LONGEST_CODE) throw broken('unknown Huffman code');
    code = (code << 1) | bits.read(1);
  }
}

function readUsedBytes(bits: BitReader): Uint8Array {
  const used: number[] = [];
  const ranges = bits.read(16);
  for (let range = 0; range < 16; range++) {
    if ((ranges & (0x8000 >>> range)) === 0) continue;
    const members = bits.read(16);
    for (let i = 0; i < 16; i++) if ((members & (0x8000 >>> i)) !== 0) used.push(range * 16 + i);
  }
  if (used.length === 0) throw broken('a block without bytes');
  return Uint8Array.from(used);
}

function moveToFront(list: Uint8Array, position: number): number {
  const value = list[position] as number;
  list.copyWithin(1, 0, position);
  list[0] = value;
  return value;
}

function readSelectors(bits: BitReader, tables: number): Uint8Array {
  const count = bits.read(15);
  if (count === 0) throw broken('a block without selectors');
  const order = Uint8Array.from({ length: tables }, (_, i) => i);
  const selectors = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    let position = 0;
    while (bits.read(1) === 1) if (++position >= tables) throw broken('selector out of range');
    selectors[i] = moveToFront(order, position);
  }
  return selectors;
}

function readLengths(bits: BitReader, symbols: number): Uint8Array {
  const lengths = new Uint8Array(symbols);
  let length = bits.read(5);
  for (let i = 0; i < symbols; i++) {
    while (bits.read(1) === 1) length += bits.read(1) === 0 ? 1 : -1;
    if (length < 1 || length > LONGEST_CODE) throw broken('Huffman code length out of range');
    lengths[i] = length;
  }
  return lengths;
}

/** Undoes Huffman codes and move-to-front: fills `block` with the transformed bytes, returns how many. */
function readTransformed(bits: BitReader, block: Uint32Array, counts: Int32Array): number {
  const used = readUsedBytes(bits);
  const tableCount = bits.read(3);
  if (tableCount < 2 || tableCount > 6) throw broken('impossible number of Huffman tables');
  const selectors = readSelectors(bits, tableCount);
  const symbolCount = used.length + 2;
  const tables = Array.from({ length: tableCount }, () => huffmanTable(readLengths(bits, symbolCount)));
  const end = symbolCount - 1;
  let length = 0;
  let run = 0;
  let runBit = 1;
  for (let taken = 0; ; taken++) {
    const table = tables[selectors[Math.floor(taken / GROUP_SIZE)] ?? tableCount];
    if (!table) throw broken('more symbols than selectors');
    const symbol = readSymbol(bits, table);
    if (symbol === RUN_A || symbol === RUN_B) {
      run += symbol === RUN_A ? runBit : runBit * 2;
      runBit *= 2;
      if (run > block.length) throw broken('a run longer than the block');
      continue;
    }
    if (run > 0) {
      if (length + run > block.length) throw broken('a block longer than announced');
      const byte = used[0] as number;
      counts[byte] = (counts[byte] as number) + run;
      block.fill(byte, length, length + run);
      length += run;
      run = 0;
      runBit = 1;
    }
    if (symbol === end) return length;
    if (length >= block.length) throw broken('a block longer than announced');
    const byte = moveToFront(used, symbol - 1);
    counts[byte] = (counts[byte] as number) + 1;
    block[length++] = byte;
  }
}

/** Undoes the Burrows-Wheeler transform and the run lengths; returns the CRC of what was written. */
function writeBlock(block: Uint32Array, length: number, start: number, counts: Int32Array, out: Output): number {
  let sum = 0;
  const next = counts.map((count) => (sum += count) - count);
  for (let i = 0; i < length; i++) {
    const byte = (block[i] as number) & 0xff;
    const target = next[byte] as number;
    next[byte] = target + 1;
    block[target] = ((block[target] as number) | (i << 8)) >>> 0;
  }
  let crc = 0xffffffff;
  let position = (block[start] as number) >>> 8;
  let previous = -1;
  let same = 0;
  for (let i = 0; i < length; i++) {
    const entry = block[position] as number;
    position = entry >>> 8;
    const byte = entry & 0xff;
    const isCount = same === 4;
    const times = isCount ? byte : 1;
    const value = isCount ? previous : byte;
    same = isCount ? 0 : byte === previous ? same + 1 : 1;
    previous = isCount ? -1 : byte;
    if (times > 0) out.push(value, times);
    for (let n = 0; n < times; n++) crc = (crc << 8) ^ (CRC_TABLE[((crc >>> 24) ^ value) & 0xff] as number);
  }
  return ~crc >>> 0;
}

function readBlock(bits: BitReader, block: Uint32Array, out: Output): number {
  const expected = bits.read32();
  if (bits.read(1) === 1) throw broken('a randomised block, which nobody writes since 1997');
  const start = bits.read(24);
  const counts = new Int32Array(256);
  const length = readTransformed(bits, block, counts);
  if (start >= length) throw broken('the block starts outside itself');
  const crc = writeBlock(block, length, start, counts, out);
  if (crc !== expected) throw broken('the checksum of a block is wrong');
  return crc;
}

function readStream(bits: BitReader, out: Output): void {
  const level = bits.read(8) - 0x30;
  if (level < 1 || level > 9) throw broken('no bzip2 header');
  const block = new Uint32Array(level * LEVEL_BYTES);
  let crc = 0;
  for (;;) {
    const high = bits.read(24);
    const low = bits.read(24);
    if (high === END_MAGIC[0] && low === END_MAGIC[1]) break;
    if (high !== BLOCK_MAGIC[0] || low !== BLOCK_MAGIC[1]) throw broken('expected a block or the end');
    crc = combineCrc(crc, readBlock(bits, block, out));
  }
  if (bits.read32() !== crc) throw broken('the checksum of the stream is wrong');
}

/**
 * Decompresses bzip2, several streams in a row included; what follows them is ignored, as Python does.
 * @throws {DecodeError} for broken data, and for more than `maxBytes` (code `ERR_TOO_LARGE`)
 */
export function bunzip2(body: Uint8Array, maxBytes: number): Uint8Array {
  const bits = new BitReader(body);
  const out = new Output(body.length * 4, maxBytes);
  for (let streams = 0; ; streams++) {
    const more = bits.alignAndHas(4);
    if (!more && streams > 0) return out.take();
    if (bits.read(24) !== 0x425a68) {
      if (streams > 0) return out.take();
      throw broken('no bzip2 header');
    }
    readStream(bits, out);
  }
}
