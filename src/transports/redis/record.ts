/*
 * record    value in the `unacked` hash: `[<envelope>, "<exchange>", "<routing key>"]`
 * span      where a value stands in a JSON text
 *
 * Messages of others are put back as they were written, but for two members: parsing and writing them again would
 * damage large integers, NaN and the order of keys.
 */

export interface HeldRecord {
  /** The envelope's text, untouched. */
  readonly envelope: string;
  readonly exchange: string;
  readonly routingKey: string;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Undefined when the text is not an array of exactly an object and two texts. */
export function readRecord(text: string): HeldRecord | undefined {
  const spans = elements(text);
  if (spans?.length !== 3) return undefined;
  const [envelope, exchange, routingKey] = spans.map(({ start, end }) => text.slice(start, end));
  const names = [parsed(exchange), parsed(routingKey)];
  if (!envelope?.startsWith('{') || typeof names[0] !== 'string' || typeof names[1] !== 'string') return undefined;
  return { envelope, exchange: names[0], routingKey: names[1] };
}

/** The priority an envelope asks for, or undefined. */
export function envelopePriority(envelope: string): unknown {
  const properties = members(envelope, 0)?.get('properties');
  const inner = properties && members(envelope, properties.start);
  const own = inner?.get('priority');
  if (own) return parsed(envelope.slice(own.start, own.end));
  const info = inner?.get('delivery_info');
  const legacy = info && members(envelope, info.start)?.get('priority');
  return legacy && parsed(envelope.slice(legacy.start, legacy.end));
}

/**
 * The envelope with `headers.redelivered` and `properties.delivery_info.redelivered` true, as kombu writes it when it
 * restores a message; undefined when it has no place for them.
 *
 * Source: `QoS.restore_by_tag`, `Channel._do_restore_message` of kombu's Redis transport.
 */
export function markRedelivered(envelope: string): string | undefined {
  const top = members(envelope, 0);
  const headers = top?.get('headers');
  const properties = top?.get('properties');
  const info = properties && members(envelope, properties.start)?.get('delivery_info');
  if (!headers || !info) return undefined;
  // The later one first, so that the earlier span still fits.
  const [later, earlier] = info.start > headers.start ? [info, headers] : [headers, info];
  const half = withRedelivered(envelope, later);
  return half === undefined ? undefined : withRedelivered(half, earlier);
}

function withRedelivered(text: string, object: Span): string | undefined {
  const inside = members(text, object.start);
  if (!inside) return undefined;
  const present = inside.get('redelivered');
  if (present) return `${text.slice(0, present.start)}true${text.slice(present.end)}`;
  const separator = inside.size === 0 ? '' : ', ';
  return `${text.slice(0, object.end - 1)}${separator}"redelivered": true${text.slice(object.end - 1)}`;
}

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}

const SPACE = /[ \t\r\n]/;

function skipSpace(text: string, at: number): number {
  while (at < text.length && SPACE.test(text[at] as string)) at++;
  return at;
}

/** Position behind the string that begins at `at`; -1 when it does not end. */
function stringEnd(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x5c) i++;
    else if (code === 0x22) return i + 1;
  }
  return -1;
}

/** Position behind the value that begins at `at`; -1 when it does not end. */
function valueEnd(text: string, at: number): number {
  const first = text[at];
  if (first === '"') return stringEnd(text, at);
  if (first !== '{' && first !== '[') {
    const scalar = /[^,\]} \t\r\n]+/y;
    scalar.lastIndex = at;
    return scalar.test(text) ? scalar.lastIndex : -1;
  }
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    const char = text[i];
    if (char === '"') {
      i = stringEnd(text, i) - 1;
      if (i < 0) return -1;
    } else if (char === '{' || char === '[') depth++;
    else if ((char === '}' || char === ']') && --depth === 0) return i + 1;
  }
  return -1;
}

/** Values of the object that begins at `at`; of a repeated key the last one, as every reader takes it. */
function members(text: string, at: number): Map<string, Span> | undefined {
  let i = skipSpace(text, at);
  if (text[i] !== '{') return undefined;
  const found = new Map<string, Span>();
  i = skipSpace(text, i + 1);
  if (text[i] === '}') return found;
  for (;;) {
    const keyEnd = text[i] === '"' ? stringEnd(text, i) : -1;
    const key = keyEnd < 0 ? undefined : parsed(text.slice(i, keyEnd));
    i = skipSpace(text, keyEnd);
    if (typeof key !== 'string' || text[i] !== ':') return undefined;
    const start = skipSpace(text, i + 1);
    const end = valueEnd(text, start);
    if (end < 0) return undefined;
    found.set(key, { start, end });
    i = skipSpace(text, end);
    if (text[i] === '}') return found;
    if (text[i] !== ',') return undefined;
    i = skipSpace(text, i + 1);
  }
}

function elements(text: string): Span[] | undefined {
  let i = skipSpace(text, 0);
  if (text[i] !== '[') return undefined;
  const found: Span[] = [];
  for (;;) {
    const start = skipSpace(text, i + 1);
    const end = valueEnd(text, start);
    if (end < 0) return undefined;
    found.push({ start, end });
    i = skipSpace(text, end);
    if (text[i] === ']') return skipSpace(text, i + 1) === text.length ? found : undefined;
    if (text[i] !== ',') return undefined;
  }
}
