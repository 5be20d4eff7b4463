import type { CallOptions } from '../canvas/call-options.ts';
import { wireOptions, type WireOptions } from '../canvas/wire-options.ts';
import { isBroadcast } from '../messaging/broadcast.ts';
import type { Entity, Queue } from '../messaging/entity.ts';
import type { Destination } from '../transports/transport.ts';
import type { Config } from './config.ts';
import type { QueueTable } from './queues.ts';
import { compileRoutes, route, type CompiledRoutes, type RouteOptions } from './router.ts';

/** Where one call goes, and with which options once its route had its say. */
export interface Address {
  readonly to: Destination;
  /** To be declared first. */
  readonly declares: readonly Entity[];
  readonly deliveryMode: 1 | 2;
  /** For events; the routing key where there is no queue. */
  readonly queueName: string;
  /** The caller named the queue, as opposed to a route or default. */
  readonly queueGiven: boolean;
  readonly options: WireOptions;
}

/** The call that is routed. */
export interface RoutedCall {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}

type Camel = Record<string, unknown>;

/** Options that routers may look at, on the wire and in calls. */
const ROUTED: readonly (readonly [wire: string, camel: keyof CallOptions])[] = [
  ['queue', 'queue'],
  ['exchange', 'exchange'],
  ['routing_key', 'routingKey'],
  ['priority', 'priority'],
  ['serializer', 'serializer'],
  ['compression', 'compression'],
  ['delivery_mode', 'deliveryMode'],
];

/** Finds addresses for an app's calls. */
export class AddressBook {
  readonly #routes: CompiledRoutes;
  readonly #queues: QueueTable;
  /** Of options that many calls share; only where no router looks at the call itself. */
  #known = new WeakMap<WireOptions, Address>();
  #revision = 0;

  constructor(conf: Config, queues: QueueTable) {
    this.#routes = compileRoutes(conf.taskRoutes as Parameters<typeof compileRoutes>[0]);
    this.#queues = queues;
  }

  /**
   * @param shared the options are the same object for many calls, and never change
   * @throws {ImproperlyConfigured} for a queue that is unknown and may not be created
   */
  find(call: RoutedCall, options: WireOptions, shared = false): Address {
    if (!shared || this.#routes.routers.length > 0) return this.#find(call, options);
    if (this.#revision !== this.#queues.revision) {
      this.#known = new WeakMap();
      this.#revision = this.#queues.revision;
    }
    let address = this.#known.get(options);
    if (address === undefined) {
      address = this.#find(call, options);
      if (this.#revision === this.#queues.revision) this.#known.set(options, address);
    }
    return address;
  }

  #find(call: RoutedCall, options: WireOptions): Address {
    const said = routeOptions(options);
    const found =
      this.#routes.routers.length === 0 ? said : route(this.#routes, routedName(call), call.args, call.kwargs, said);
    const { exchange, routingKey, deliveryMode, queue } = this.#queues.destinationOf(found);
    return {
      to: { exchange, routingKey },
      declares: declared(queue),
      deliveryMode,
      queueName: queue?.name ?? routingKey,
      queueGiven: said.queue !== undefined,
      options: found === said ? options : withRoute(options, found),
    };
  }
}

/** What runs a task for a list is routed as that task. Source: `route_name` of `xmap.apply_async`. */
function routedName({ task, kwargs }: RoutedCall): string {
  if (task !== 'celery.map' && task !== 'celery.starmap') return task;
  const inner = (kwargs['task'] as { readonly task?: unknown } | null | undefined)?.task;
  return typeof inner === 'string' ? inner : task;
}

/** Of a broadcast the exchange alone: the queue would fill, and nobody would read it. */
function declared(queue: Queue | undefined): readonly Entity[] {
  if (queue === undefined) return [];
  return isBroadcast(queue) && queue.exchange !== undefined ? [queue.exchange] : [queue];
}

function routeOptions(options: WireOptions): RouteOptions {
  const said: Camel = {};
  for (const [wire, camel] of ROUTED) {
    const value = options[wire];
    if (value !== undefined && value !== null) said[camel] = value;
  }
  return said as RouteOptions;
}

/** What the route adds where the call said nothing. */
function withRoute(options: WireOptions, found: RouteOptions): WireOptions {
  const { queue: _queue, ...rest } = found;
  const merged: Record<string, unknown> = { ...wireOptions(rest) };
  for (const name in options) {
    if (options[name] !== undefined && options[name] !== null) merged[name] = options[name];
  }
  return merged;
}
