import { expect, test } from 'vitest';
import { repaired, repairFrames } from './repair.ts';

/** A content header frame on channel 1 with these headers, already encoded. */
function frame(table: Buffer): Buffer {
  const type = Buffer.from('\x10application/json');
  const payload = Buffer.concat([
    Buffer.from([0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0xa0, 0]),
    type,
    length(table),
    table,
  ]);
  return Buffer.concat([Buffer.from([2, 0, 1]), length(payload), payload, Buffer.from([0xce])]);
}

function length(bytes: Buffer): Buffer {
  const field = Buffer.alloc(4);
  field.writeUInt32BE(bytes.length);
  return field;
}

const key = (name: string, ...rest: Buffer[]): Buffer =>
  Buffer.concat([Buffer.from([name.length]), Buffer.from(name), ...rest]);
const wide = (tag: string): Buffer => Buffer.concat([Buffer.from(tag), Buffer.from([0, 0, 1, 0, 0, 0, 0, 0])]);
const nested = (tag: string, inner: Buffer): Buffer => Buffer.concat([Buffer.from(tag), length(inner), inner]);

function headers(tag: string): Buffer {
  return Buffer.concat([
    key('text', nested('S', Buffer.from('L L L'))),
    key('stamp', wide(tag)),
    key('flag', Buffer.from('t\x01')),
    key('table', nested('F', key('deep', nested('A', Buffer.concat([wide(tag), Buffer.from('V')]))))),
  ]);
}

test('the tag L becomes l, wherever it is, and nothing else changes', () => {
  const errors: unknown[] = [];
  expect(repaired(frame(headers('L')), (error) => errors.push(error))).toEqual(frame(headers('l')));
  expect(errors).toEqual([]);
});

test('properties that cannot be read are left out', () => {
  for (const table of [key('odd', Buffer.from('?abc')), key('short', Buffer.from('S\x00\x00\x01\x00'))]) {
    const errors: unknown[] = [];
    const bare = repaired(frame(table), (error) => errors.push(error));
    expect(errors).toHaveLength(1);
    expect([...bare]).toEqual([2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0xce]);
  }
});

test('reading goes on behind a repaired frame; other errors are not hidden', () => {
  const seen: Buffer[] = [];
  const reader = {
    rest: Buffer.concat([frame(headers('L')), Buffer.from('next')]),
    recvFrame(): unknown {
      const size = frame(headers('l')).length;
      const one = this.rest.subarray(0, size);
      this.rest = this.rest.subarray(size);
      if (one.includes('stampL')) throw new TypeError('Unexpected type tag "L"');
      seen.push(one);
      return 'frame';
    },
  };
  repairFrames(reader, () => {});
  expect(reader.recvFrame()).toBe('frame');
  expect(seen).toEqual([frame(headers('l'))]);
  expect(reader.rest).toEqual(Buffer.from('next'));
  const broken = {
    rest: Buffer.from('not a frame'),
    recvFrame(): unknown {
      this.rest = Buffer.alloc(0);
      throw new Error('Invalid frame');
    },
  };
  repairFrames(broken, () => {});
  expect(() => broken.recvFrame()).toThrow('Invalid frame');
});
