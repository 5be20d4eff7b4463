/*
 * What both directions of bzip2 know. The format has no specification of its own; the names are those of its source.
 *
 * block     up to 900,000 bytes: run lengths, Burrows-Wheeler transform, move to front, Huffman codes, in this order
 * selector  which of up to six Huffman tables the next 50 symbols use
 */

export const BLOCK_MAGIC: readonly [number, number] = [0x314159, 0x265359];
export const END_MAGIC: readonly [number, number] = [0x177245, 0x385090];
/** Symbols coded with one table before the next selector is taken. */
export const GROUP_SIZE = 50;
export const RUN_A = 0;
export const RUN_B = 1;
/** Bytes of a block for each step of the level. */
export const LEVEL_BYTES = 100_000;

const POLYNOMIAL = 0x04c11db7;

/** CRC-32 with the most significant bit first: not the one of gzip. */
export const CRC_TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  return crc;
});

/** CRC of the whole stream after one more block. */
export function combineCrc(stream: number, block: number): number {
  return (((stream << 1) | (stream >>> 31)) ^ block) >>> 0;
}
