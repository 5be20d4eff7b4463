/*
 * Messages without tasks: what kombu is to Celery. Public as `celeriac/messaging`.
 */

export { Connection, type ConnectionOptions } from './connection.ts';
export { Consumer, type ConsumerOptions } from './consumer.ts';
export {
  binding,
  exchange,
  queue,
  type Binding,
  type Entity,
  type Exchange,
  type ExchangeType,
  type Queue,
} from './entity.ts';
export { Message } from './message.ts';
export {
  MessageProducer as Producer,
  type MessageProducerOptions as ProducerOptions,
  type PublishOptions,
} from './message-producer.ts';
export { moveMessages, type Moved, type Moving, type Progress } from './move.ts';
export type { RetryPolicy } from './retry-policy.ts';
export { SimpleBuffer, SimpleQueue, type SimpleQueueOptions } from './simple-queue.ts';
export { Empty } from '../errors.ts';
