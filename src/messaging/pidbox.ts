import { exchange, queue, type Exchange, type Queue } from './entity.ts';

/*
 * pidbox   a worker's mailbox for remote control: requests reach every worker by fan-out,
 *          replies come back through the asking client's own queue
 *
 * Source: kombu.pidbox.Mailbox. Names and flags: spec pidbox-over-virtual.md 1.
 */

const REQUEST_TTL_MS = 300_000;
const QUEUE_EXPIRES_MS = 10_000;

/** Requests for workers are published here with an empty routing key. */
export function controlExchange(namespace: string): Exchange {
  return exchange(`${namespace}.pidbox`, { type: 'fanout', durable: false, deliveryMode: 1 });
}

/** The queue on which the worker `nodename` receives requests. */
export function nodeQueue(nodename: string, namespace: string): Queue {
  return queue(`${nodename}.${namespace}.pidbox`, {
    exchange: controlExchange(namespace),
    routingKey: '',
    durable: false,
    autoDelete: true,
    noAck: true,
    expiresMs: QUEUE_EXPIRES_MS,
    messageTtlMs: REQUEST_TTL_MS,
  });
}

/** Replies are published here with the client's `oid` as routing key. */
export function replyExchange(namespace: string): Exchange {
  return exchange(`reply.${namespace}.pidbox`, { type: 'direct', durable: false, deliveryMode: 1 });
}

/** The queue on which the client `oid` collects replies. */
export function replyQueue(oid: string, namespace: string): Queue {
  return queue(`${oid}.reply.${namespace}.pidbox`, {
    exchange: replyExchange(namespace),
    routingKey: oid,
    durable: false,
    autoDelete: true,
    noAck: true,
    expiresMs: QUEUE_EXPIRES_MS,
    messageTtlMs: REQUEST_TTL_MS,
  });
}
