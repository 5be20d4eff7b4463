import type { Message } from '../protocol/message.ts';

/*
 * dead letter        a message that nobody runs any more: it killed its workers as often as `maxDeliveries` allows
 * dead-letter queue  where it is kept, beside the queue it came from: `<queue>.dlq`
 */

const SUFFIX = '.dlq';
/** Says where a dead letter came from, why and when. */
const HEADER = 'celeriac-death';

export interface Death {
  /** The queue it came from. */
  readonly queue: string;
  readonly reason: string;
  /** Unix time in milliseconds; null where nobody wrote it down. */
  readonly atMs: number | null;
}

export function deadLetterQueue(queue: string): string {
  return `${queue}${SUFFIX}`;
}

/** The same message with the note of its death. */
export function asDeadLetter(message: Message, { queue, reason, atMs }: Death): Message {
  const note = { queue, reason, at: new Date(atMs ?? 0).toISOString() };
  return { ...message, headers: { ...message.headers, [HEADER]: note } };
}

/** The same message without what happened to it, as it was before. */
export function revived(message: Message): Message {
  const headers = { ...message.headers };
  for (const name of [HEADER, 'x-death', 'x-first-death-queue', 'x-first-death-reason', 'x-first-death-exchange']) {
    delete headers[name];
  }
  return { ...message, headers };
}

/** Our own note, else RabbitMQ's (`x-death`); undefined: it has none. */
export function deathOf({ headers }: Message): Death | undefined {
  const own = record(headers[HEADER]);
  if (typeof own['queue'] === 'string') {
    const atMs = typeof own['at'] === 'string' ? Date.parse(own['at']) : NaN;
    return { queue: own['queue'], reason: String(own['reason'] ?? ''), atMs: Number.isNaN(atMs) ? null : atMs };
  }
  const deaths = headers['x-death'];
  const last = record(Array.isArray(deaths) ? deaths[0] : undefined);
  if (typeof last['queue'] !== 'string') return undefined;
  return { queue: last['queue'], reason: String(last['reason'] ?? ''), atMs: null };
}

/** The queue beside which a dead-letter queue stands, by its name alone. */
export function originByName(name: string): string | undefined {
  return name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : undefined;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
