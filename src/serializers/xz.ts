import { DecodeError } from '../errors.ts';
import { optional } from '../runtime/optional.ts';

/*
 * What Celery calls lzma: the xz container, by the package lzma-native (liblzma).
 */

/** Python's largest preset needs 65 MiB; a header can ask for gigabytes. */
const MOST_MEMORY = 256 * 1024 * 1024;

type Lzma = typeof import('lzma-native');

const load = async (): Promise<Lzma> => {
  const loaded = await optional('lzma-native', 'lzma compression', () => import('lzma-native'));
  return (loaded as Lzma & { default?: Lzma }).default ?? loaded;
};

/** Collects what the codec writes; ends it as soon as there is too much. */
function collect(codec: NodeJS.ReadWriteStream, body: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    codec.on('error', reject);
    codec.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= maxBytes) return void chunks.push(chunk);
      const tooLarge = `a body compressed with lzma is larger than ${maxBytes} bytes`;
      reject(new DecodeError(tooLarge, { code: 'ERR_TOO_LARGE' }));
      (codec as NodeJS.ReadWriteStream & { destroy(): void }).destroy();
    });
    codec.on('end', () => resolve(Buffer.concat(chunks, length)));
    codec.end(body);
  });
}

/** The xz container, as Python's `lzma.compress` writes it. */
export async function xzCompress(body: Uint8Array): Promise<Uint8Array> {
  const lzma = await load();
  return collect(lzma.createCompressor(), body, Infinity);
}

/** Reads the xz container and the older lzma one, as Python's `lzma.decompress` does. */
export async function xzDecompress(body: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  const lzma = await load();
  return collect(lzma.createStream('autoDecoder', { memlimit: MOST_MEMORY }), body, maxBytes);
}
