import { systemRandom, type Random } from '../runtime/random.ts';
import { exchange, queue, type Exchange, type Queue } from './entity.ts';

/** How `broadcast()` makes its queue; other fields are those of `queue()`. */
export type BroadcastQueueOptions = Partial<Omit<Queue, 'kind' | 'name' | 'exchange'>> & {
  /** Name of the queue. @default a new one, `bcast.<uuid>` */
  readonly queue?: string;
  /** Makes a name new each time: `<queue>.<uuid>`. @default false */
  readonly unique?: boolean;
  /** @default a fanout exchange of the broadcast's name */
  readonly exchange?: Exchange;
  readonly random?: Random;
};

/**
 * A queue that every process which defines it has for itself, behind one exchange: each of their workers runs the
 * task. Calls, routes and `-Q` use `name`; the queue goes when its worker does.
 *
 * @example
 * const app = new Celery({ taskQueues: [queue('celery'), broadcast('reload')] });
 * await app.send('config.reload', [], { queue: 'reload' });
 *
 * Source: `kombu.common.Broadcast`.
 */
export function broadcast(name: string, options: BroadcastQueueOptions = {}): Queue {
  const { queue: given, unique = false, exchange: own, random = systemRandom(), ...rest } = options;
  const ownName = given === undefined || unique ? `${given ?? 'bcast'}.${random.uuid()}` : given;
  return queue(ownName, {
    alias: name,
    exchange: own ?? exchange(name, { type: 'fanout' }),
    routingKey: '',
    autoDelete: true,
    ...rest,
  });
}

/**
 * Whether a queue belongs to one consumer among many: who only sends declares its exchange alone.
 * Differs: a producer of Celery declares a queue of its own as well, which nobody ever reads.
 */
export function isBroadcast({ exchange: own, autoDelete }: Queue): boolean {
  return autoDelete && own?.type === 'fanout';
}
