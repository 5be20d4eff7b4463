import { inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CeleryError, DecodeError, ImproperlyConfigured } from '../errors.ts';
import { compress, compressionMime, decompress } from './compression.ts';
import { zstdBound } from './zstd.ts';

const CODECS = ['gzip', 'bzip2', 'brotli', 'lzma', 'zstd'];
const TEXT = Buffer.from('[[1, 2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]');

test.each([
  ['gzip', 'application/x-gzip'],
  ['zlib', 'application/x-gzip'],
  ['bzip', 'application/x-bz2'],
  ['bzip2', 'application/x-bz2'],
  ['brotli', 'application/x-brotli'],
  ['lzma', 'application/x-lzma'],
  ['xz', 'application/x-lzma'],
  ['zstd', 'application/zstd'],
  ['zstandard', 'application/zstd'],
])('%s goes as %s', (name, mime) => {
  expect(compressionMime(name)).toBe(mime);
  expect(compressionMime(mime)).toBe(mime);
});

test('gzip is a zlib stream without gzip framing', () => {
  expect(inflateSync(compress(TEXT, 'gzip') as Uint8Array)).toEqual(TEXT);
});

test('unknown codecs', () => {
  expect(() => compress(TEXT, 'snappy')).toThrow(ImproperlyConfigured);
  expect(() => compressionMime('snappy')).toThrow(/expected one of gzip/);
  expect(() => decompress(TEXT, 'application/snappy')).toThrow(DecodeError);
});

describe.each(CODECS)('%s', (name) => {
  test('reads what it wrote', async () => {
    for (const body of [Buffer.alloc(0), TEXT, Buffer.alloc(300_000, 'abc '), Buffer.alloc(1000, 'z')]) {
      expect(Buffer.from(await decompress(await compress(body, name), name)).equals(body)).toBe(true);
    }
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), async (body) => {
        expect(Buffer.from(await decompress(await compress(body, name), compressionMime(name)))).toEqual(
          Buffer.from(body),
        );
      }),
    );
  });

  test('stops at the limit', async () => {
    const bomb = await compress(Buffer.alloc(2_000_000), name);
    await expect((async () => decompress(bomb, name, 1000))()).rejects.toMatchObject({ code: 'ERR_TOO_LARGE' });
    expect((await decompress(bomb, name, 2_000_000)).length).toBe(2_000_000);
  });

  test('broken data gives a DecodeError', async () => {
    const whole = await compress(TEXT, name);
    for (const bad of [Buffer.alloc(0), Buffer.from('garbage here'), whole.subarray(0, whole.length - 3)]) {
      await expect((async () => decompress(bad, name))()).rejects.toBeInstanceOf(DecodeError);
    }
  });

  test('data with flipped bits never gives anything but bytes or a typed error', async () => {
    const whole = await compress(TEXT, name);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const bad = Uint8Array.from(whole);
        bad[at] = (bad[at] as number) ^ mask;
        try {
          expect((await decompress(bad, name, 10_000)).length).toBeLessThanOrEqual(10_000);
        } catch (error) {
          expect(CeleryError.is(error)).toBe(true);
        }
      }),
    );
  });
});

test('the bound of zstd frames is never below what they hold', async () => {
  const body = Buffer.alloc(1_000_000, 'ab');
  const one = await compress(body, 'zstd');
  expect(zstdBound(one)).toBeGreaterThanOrEqual(body.length);
  expect(zstdBound(Buffer.concat([one, one]))).toBeGreaterThanOrEqual(2 * body.length);
  expect(zstdBound(Buffer.concat([Buffer.from([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9]), one]))).toBe(zstdBound(one));
});
