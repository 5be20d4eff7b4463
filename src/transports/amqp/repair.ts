/*
 * The client library cannot read 64-bit integers under the tag `L`, which Python writes for every header beyond 32
 * bits, and gives up the connection. The message would come again on the next one, for ever. So frames that it
 * refuses are repaired: `L` becomes `l`, which means the same; properties that nobody can read are left out, and the
 * worker then refuses the one message.
 */

/** The parts of the library's connection that are needed here. */
interface FrameReader {
  /** Bytes that were received and not read yet. */
  rest: Buffer;
  recvFrame(): unknown;
}

const HEADER_FRAME = 2;
const FRAME_OVERHEAD = 8;
/** Of a content header: class, weight, body size. */
const FIXED = 12;
const CONTENT_TYPE = 0x8000;
const CONTENT_ENCODING = 0x4000;
const HEADERS = 0x2000;

/** Bytes behind the tag. */
const WIDTHS: Readonly<Record<string, number>> = {
  ...{ t: 1, b: 1, B: 1, s: 2, u: 2, I: 4, i: 4, f: 4, l: 8, L: 8, d: 8, T: 8, D: 5, V: 0 },
};

/** Makes `connection` read on where it met properties that it cannot read. */
export function repairFrames(connection: unknown, onUnreadable: (error: unknown) => void): void {
  const reader = connection as FrameReader;
  const read = reader.recvFrame.bind(reader);
  reader.recvFrame = () => {
    const before = reader.rest;
    try {
      return read();
    } catch (error) {
      const frame = before.subarray(0, Math.max(0, before.length - reader.rest.length));
      if (!isHeaderFrame(frame)) throw error;
      reader.rest = Buffer.concat([repaired(frame, onUnreadable), reader.rest]);
      return read();
    }
  };
}

function isHeaderFrame(frame: Buffer): boolean {
  return (
    frame.length >= FRAME_OVERHEAD + FIXED + 2 &&
    frame[0] === HEADER_FRAME &&
    frame.readUInt32BE(3) + FRAME_OVERHEAD === frame.length
  );
}

/** @returns a frame that the library can read */
export function repaired(frame: Buffer, onUnreadable: (error: unknown) => void): Buffer {
  const copy = Buffer.from(frame);
  try {
    let at = 7 + FIXED;
    const flags = copy.readUInt16BE(at);
    at += 2;
    if (flags & CONTENT_TYPE) at += 1 + copy.readUInt8(at);
    if (flags & CONTENT_ENCODING) at += 1 + copy.readUInt8(at);
    let changed = false;
    if (flags & HEADERS) walkTable(copy, at, () => (changed = true));
    if (changed) return copy;
    throw new RangeError('the properties of a message cannot be read');
  } catch (error) {
    onUnreadable(error);
    return withoutProperties(frame);
  }
}

/** @returns where the table ends */
function walkTable(bytes: Buffer, from: number, onChange: () => void): number {
  let at = from + 4;
  const end = at + bytes.readUInt32BE(from);
  while (at < end) at = walkValue(bytes, at + 1 + bytes.readUInt8(at), onChange);
  return end;
}

function walkValue(bytes: Buffer, at: number, onChange: () => void): number {
  const tag = String.fromCharCode(bytes.readUInt8(at));
  const width = WIDTHS[tag];
  if (tag === 'L') {
    bytes[at] = 'l'.charCodeAt(0);
    onChange();
  }
  if (width !== undefined) return at + 1 + width;
  if (tag === 'F') return walkTable(bytes, at + 1, onChange);
  const end = at + 5 + bytes.readUInt32BE(at + 1);
  if (tag === 'S' || tag === 'x') return end;
  if (tag !== 'A') throw new RangeError(`a header has the unknown type ${JSON.stringify(tag)}`);
  let next = at + 5;
  while (next < end) next = walkValue(bytes, next, onChange);
  return end;
}

function withoutProperties(frame: Buffer): Buffer {
  const bare = Buffer.alloc(7 + FIXED + 2 + 1);
  frame.copy(bare, 0, 0, 7 + FIXED);
  bare.writeUInt32BE(FIXED + 2, 3);
  bare[bare.length - 1] = 0xce;
  return bare;
}
