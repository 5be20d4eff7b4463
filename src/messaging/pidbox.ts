import { exchange, queue, type Exchange, type Queue } from './entity.ts';

/*
 * pidbox   a worker's mailbox for remote control: requests reach every worker by fan-out,
 *          replies come back through the asking client's own queue
 *
 * Source: kombu.pidbox.Mailbox. Names and flags: spec pidbox-over-virtual.md 1.
 */

/** Settings `controlQueue…`; times in seconds. */
export interface ControlQueues {
  readonly controlQueueTtl: number;
  readonly controlQueueExpires: number;
  readonly controlQueueExclusive: boolean;
  readonly controlQueueDurable: boolean;
}

const CELERY_DEFAULTS: ControlQueues = {
  controlQueueTtl: 300,
  controlQueueExpires: 10,
  controlQueueExclusive: false,
  controlQueueDurable: false,
};

/** What request and reply queues have in common. */
function flags(conf: ControlQueues): Partial<Queue> {
  return {
    durable: conf.controlQueueDurable,
    exclusive: conf.controlQueueExclusive,
    autoDelete: !conf.controlQueueDurable,
    noAck: true,
    expiresMs: conf.controlQueueExpires * 1000,
    messageTtlMs: conf.controlQueueTtl * 1000,
  };
}

/** Requests for workers are published here with an empty routing key. */
export function controlExchange(namespace: string): Exchange {
  return exchange(`${namespace}.pidbox`, { type: 'fanout', durable: false, deliveryMode: 1 });
}

/** The queue on which the worker `nodename` receives requests. */
export function nodeQueue(nodename: string, namespace: string, conf: ControlQueues = CELERY_DEFAULTS): Queue {
  return queue(`${nodename}.${namespace}.pidbox`, {
    exchange: controlExchange(namespace),
    routingKey: '',
    ...flags(conf),
  });
}

/** Replies are published here with the client's `oid` as routing key. */
export function replyExchange(namespace: string): Exchange {
  return exchange(`reply.${namespace}.pidbox`, { type: 'direct', durable: false, deliveryMode: 1 });
}

/** The queue on which the client `oid` collects replies. */
export function replyQueue(oid: string, namespace: string, conf: ControlQueues = CELERY_DEFAULTS): Queue {
  return queue(`${oid}.reply.${namespace}.pidbox`, {
    exchange: replyExchange(namespace),
    routingKey: oid,
    ...flags(conf),
  });
}
