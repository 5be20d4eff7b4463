import type { SettingsOf } from '../setting.ts';
import type { ExchangeType } from '../../messaging/entity.ts';
import type { TaskQueues } from '../queue-definitions.ts';
import type { TaskRoutes } from '../router.ts';

/** Routing. */
export interface RoutingSettings {
  /** Queue definitions. */
  readonly taskQueues: TaskQueues | null;
  /** Routers. */
  readonly taskRoutes: TaskRoutes | null;
  /** Create unknown queues on use. */
  readonly taskCreateMissingQueues: boolean;
  /** Type of created queues: classic, quorum. */
  readonly taskCreateMissingQueueType: 'quorum' | 'classic';
  /** Exchange type of created queues. */
  readonly taskCreateMissingQueueExchangeType: ExchangeType | null;
  /** Default queue name. */
  readonly taskDefaultQueue: string;
  /** classic or quorum. */
  readonly taskDefaultQueueType: 'quorum' | 'classic';
  /** Default exchange; null = taskDefaultQueue. */
  readonly taskDefaultExchange: string | null;
  /** Type of default exchange. */
  readonly taskDefaultExchangeType: ExchangeType;
  /** Default key; null = taskDefaultQueue. */
  readonly taskDefaultRoutingKey: string | null;
  /** 1/transient or 2/persistent. */
  readonly taskDefaultDeliveryMode: 1 | 2;
  /** Default priority. */
  readonly taskDefaultPriority: number | null;
  /** x-max-priority for all queues. */
  readonly taskQueueMaxPriority: number | null;
  /** Child tasks take parent's priority. */
  readonly taskInheritParentPriority: boolean;
}

export const ROUTING_SETTINGS: SettingsOf<RoutingSettings> = {
  taskQueues: {
    type: 'queues',
    default: null,
    nullable: true,
    meaning: 'Queue definitions',
    flag: 'celeriac worker -Q',
    status: 'used',
  },
  taskRoutes: { type: 'routes', default: null, nullable: true, meaning: 'Routers', status: 'used' },
  taskCreateMissingQueues: { type: 'bool', default: true, meaning: 'Create unknown queues on use', status: 'used' },
  taskCreateMissingQueueType: {
    type: 'oneOf',
    values: ['classic', 'quorum'],
    default: 'classic',
    meaning: 'Type of created queues: classic, quorum',
    status: 'used',
  },
  taskCreateMissingQueueExchangeType: {
    type: 'oneOf',
    values: ['direct', 'topic', 'fanout', 'headers'],
    default: null,
    nullable: true,
    meaning: 'Exchange type of created queues',
    status: 'used',
  },
  taskDefaultQueue: { type: 'text', default: 'celery', meaning: 'Default queue name', status: 'used' },
  taskDefaultQueueType: {
    type: 'oneOf',
    values: ['classic', 'quorum'],
    default: 'classic',
    meaning: 'classic or quorum',
    status: 'used',
  },
  taskDefaultExchange: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'Default exchange; null = taskDefaultQueue',
    status: 'used',
  },
  taskDefaultExchangeType: {
    type: 'oneOf',
    values: ['direct', 'topic', 'fanout', 'headers'],
    default: 'direct',
    meaning: 'Type of default exchange',
    status: 'used',
  },
  taskDefaultRoutingKey: {
    type: 'text',
    default: null,
    nullable: true,
    meaning: 'Default key; null = taskDefaultQueue',
    status: 'used',
  },
  taskDefaultDeliveryMode: { type: 'deliveryMode', default: 2, meaning: '1/transient or 2/persistent', status: 'used' },
  taskDefaultPriority: { type: 'int', default: null, nullable: true, meaning: 'Default priority', status: 'used' },
  taskQueueMaxPriority: {
    type: 'int',
    default: null,
    nullable: true,
    meaning: 'x-max-priority for all queues',
    status: 'used',
  },
  taskInheritParentPriority: {
    type: 'bool',
    default: false,
    meaning: "Child tasks take parent's priority",
    status: 'used',
  },
};
