import * as nodeZlib from 'node:zlib';
import { DecodeError } from '../errors.ts';
import { optional } from '../runtime/optional.ts';

/*
 * zstd by the runtime where it has it (Node 22.15 and later), else by the package @hpcc-js/wasm-zstd, which can
 * decompress only whole frames: how much will come out is computed from the frame's block headers first.
 */

const FRAME = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
const LARGEST_BLOCK = 128 * 1024;

/** The functions of newer runtimes that Node 20 and its types do not have. */
interface NativeZstd {
  readonly zstdCompressSync?: (body: Uint8Array) => Uint8Array;
  readonly zstdDecompressSync?: (body: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;
}

const native: NativeZstd = nodeZlib as object;

/** Whether the runtime does it alone, and at once. */
export const HAS_NATIVE_ZSTD: boolean = native.zstdCompressSync !== undefined;

function broken(what: string): DecodeError {
  return new DecodeError(`zstd: ${what}`);
}

/**
 * Most bytes that the frames can decompress to, from their headers alone. Never less than what comes out.
 * @throws {DecodeError} when they are no zstd frames, or announce more than their blocks can hold
 */
export function zstdBound(body: Uint8Array): number {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const has = (at: number, length: number): void => {
    if (at + length > body.length) throw broken('the data ends too early');
  };
  let bound = 0;
  let at = 0;
  do {
    has(at, 4);
    const magic = view.getUint32(at, true);
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) {
      has(at, 8);
      at += 8 + view.getUint32(at + 4, true);
      continue;
    }
    if (magic !== FRAME) throw broken('no frame header');
    has(at, 5);
    const descriptor = body[at + 4] as number;
    const single = (descriptor & 0x20) !== 0;
    const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
    const sizeFlag = descriptor >>> 6;
    const sizeBytes = sizeFlag === 0 ? (single ? 1 : 0) : 1 << sizeFlag;
    const sizeAt = at + 5 + (single ? 0 : 1) + dictionaryBytes;
    has(sizeAt, sizeBytes);
    const announced = announcedSize(view, sizeAt, sizeBytes);
    at = sizeAt + sizeBytes;
    let blocks = 0;
    for (let last = false; !last;) {
      has(at, 3);
      const header = (body[at] as number) | ((body[at + 1] as number) << 8) | ((body[at + 2] as number) << 16);
      const size = header >>> 3;
      const type = (header >>> 1) & 3;
      if (type === 3) throw broken('unknown block type');
      last = (header & 1) === 1;
      blocks += type === 2 ? LARGEST_BLOCK : size;
      at += 3 + (type === 1 ? 1 : size);
      has(at, 0);
    }
    if (announced !== undefined && announced > blocks) throw broken('announces more than its blocks hold');
    bound += announced ?? blocks;
    if ((descriptor & 4) !== 0) at += 4;
    has(at, 0);
  } while (at < body.length);
  return bound;
}

function announcedSize(view: DataView, at: number, bytes: number): number | undefined {
  switch (bytes) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true) + 256;
    case 4:
      return view.getUint32(at, true);
    case 8:
      return Number(view.getBigUint64(at, true));
    default:
      return undefined;
  }
}

const load = async (): Promise<{ compress(body: Uint8Array): Uint8Array; decompress(body: Uint8Array): Uint8Array }> =>
  (await optional('@hpcc-js/wasm-zstd', 'zstd compression', () => import('@hpcc-js/wasm-zstd'))).Zstd.load();

/** At once where the runtime knows zstd, else a promise. */
export function zstdCompress(body: Uint8Array): Uint8Array | Promise<Uint8Array> {
  if (native.zstdCompressSync) return native.zstdCompressSync(body);
  return load().then((zstd) => zstd.compress(body));
}

/** At once where the runtime knows zstd, else a promise. */
export function zstdDecompress(body: Uint8Array, maxBytes: number): Uint8Array | Promise<Uint8Array> {
  if (native.zstdDecompressSync) return native.zstdDecompressSync(body, { maxOutputLength: maxBytes });
  if (zstdBound(body) > maxBytes) {
    throw new DecodeError(`a body compressed with zstd is larger than ${maxBytes} bytes`, { code: 'ERR_TOO_LARGE' });
  }
  return load().then((zstd) => zstd.decompress(body));
}
