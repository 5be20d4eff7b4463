import type { CallOptions } from '../canvas/call-options.ts';
import { ImproperlyConfigured } from '../errors.ts';
import type { Queue } from '../messaging/entity.ts';
import { globMatcher } from './glob.ts';
import type { ResolvedTaskOptions } from './task-options.ts';

/*
 * route    where a task goes and how: a queue's name, or call options (`queue`, `routingKey`, `priority`, …)
 * router   answers a route for a task, or nothing
 * rule     a router with one pattern
 */

/** Call options that a route may set, `queue` also as an entity. */
export type RouteOptions = Omit<CallOptions, 'queue'> & {
  /** null: a route named an exchange alone; no queue is declared. */
  readonly queue?: string | Queue | null;
};
export type Route = string | RouteOptions;

/** Task name (exact), glob (any name with `*`) or regular expression (matched at the start) of one route. */
export type Pattern = string | RegExp;

/** Exact names first, then patterns in their order. */
export type RouteTable = Readonly<Record<string, Route>> | ReadonlyMap<Pattern, Route>;
export type RoutePair = readonly [Pattern, Route];
export type RouteRule = RouteOptions & { readonly match: Pattern };

/** Decides by itself; null or undefined leaves the task to the next router. */
export type RouterFunction = (
  name: string,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
  options: RouteOptions,
  task: RoutedTask | undefined,
) => Route | null | undefined;

/** Setting `taskRoutes`: a router, or a list of them of which the first that answers counts. */
export type TaskRoutes =
  RouteTable | RouterFunction | readonly (RouteTable | RouterFunction | RouteRule | RoutePair | readonly RoutePair[])[];

/** What routing reads from a registered task: its own options. */
export interface RoutedTask {
  readonly name: string;
  readonly options: Partial<ResolvedTaskOptions>;
}

/** `taskRoutes` prepared for many calls by `compileRoutes`. */
export interface CompiledRoutes {
  readonly routers: readonly RouterFunction[];
}

const ROUTE_KEYS: ReadonlySet<string> = new Set([
  'queue',
  'exchange',
  'routingKey',
  'routing_key',
  'priority',
  'serializer',
  'compression',
  'deliveryMode',
  'delivery_mode',
  'expires',
]);

const isPattern = (value: unknown): value is Pattern => typeof value === 'string' || value instanceof RegExp;
const isRoute = (value: unknown): value is Route =>
  typeof value === 'string' || (typeof value === 'object' && value !== null && !Array.isArray(value));
const isPair = (value: unknown): value is RoutePair =>
  Array.isArray(value) && value.length === 2 && isPattern(value[0]) && isRoute(value[1]);
const isRule = (value: object): value is RouteRule =>
  'match' in value && isPattern(value.match) && Object.keys(value).some((key) => ROUTE_KEYS.has(key));

function unusable(what: string): ImproperlyConfigured {
  return new ImproperlyConfigured(
    `setting "taskRoutes": expected { "name or glob": route }, { match, queue, … }, [pattern, route], a function or a list of these, got ${what}`,
  );
}

/** The part of a regular expression that Python's `re.match` uses: anchored at the start, no state. */
function startsWith(pattern: RegExp): (name: string) => boolean {
  const sticky = new RegExp(pattern.source, `${pattern.flags.replace(/[gy]/g, '')}y`);
  return (name) => {
    sticky.lastIndex = 0;
    return sticky.test(name);
  };
}

/** Source: `MapRoute` of celery.app.routes. */
function tableRouter(entries: Iterable<readonly [Pattern, Route]>): RouterFunction {
  const exact = new Map<string, Route>();
  const patterns: { matches: (name: string) => boolean; route: Route }[] = [];
  for (const [pattern, given] of entries) {
    if (!isPattern(pattern) || !isRoute(given)) throw unusable(`${String(pattern)}: ${JSON.stringify(given)}`);
    const route = camelRoute(given);
    if (pattern instanceof RegExp) patterns.push({ matches: startsWith(pattern), route });
    else if (pattern.includes('*')) patterns.push({ matches: globMatcher(pattern), route });
    else exact.set(pattern, route);
  }
  return (name) => exact.get(name) ?? patterns.find(({ matches }) => matches(name))?.route;
}

function routerOf(given: unknown): RouterFunction {
  if (typeof given === 'function') return given as RouterFunction;
  if (given instanceof Map) return tableRouter(given as ReadonlyMap<Pattern, Route>);
  if (isPair(given)) return tableRouter([given]);
  if (Array.isArray(given)) {
    if (given.every(isPair)) return tableRouter(given);
    throw unusable('a list that is no list of [pattern, route]');
  }
  if (typeof given !== 'object' || given === null) {
    throw unusable(
      typeof given === 'string' ? `${JSON.stringify(given)} (import the router and give the function)` : String(given),
    );
  }
  if (isRule(given)) {
    const { match, ...route } = given;
    return tableRouter([[match, route]]);
  }
  return tableRouter(Object.entries(given as Record<string, Route>));
}

/**
 * Reads `taskRoutes` once.
 * @throws {ImproperlyConfigured} when a part of it is no router
 */
export function compileRoutes(routes: TaskRoutes | null): CompiledRoutes {
  if (routes === null) return { routers: [] };
  // A list is a list of routers, and pairs in it are rules of their own: order decides, not exactness.
  return { routers: Array.isArray(routes) ? (routes as unknown[]).map(routerOf) : [routerOf(routes)] };
}

/** @throws {ImproperlyConfigured} when the value is nothing that `compileRoutes` understands */
export function checkRoutes(value: unknown): TaskRoutes {
  compileRoutes(value as TaskRoutes);
  return value as TaskRoutes;
}

/** `routing_key` is `routingKey`: routes are often copied from a Python project. */
function camelRoute(route: Route): Route {
  if (typeof route === 'string' || !Object.keys(route).some((key) => key.includes('_'))) return route;
  return Object.fromEntries(
    Object.entries(route).map(([key, value]) => [key.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase()), value]),
  );
}

/** Values of `over` that are set, on top of `under`. Source: `lpmerge` of celery.utils.collections. */
function overlay(under: RouteOptions, over: RouteOptions): RouteOptions {
  const merged: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) if (value !== undefined && value !== null) merged[key] = value;
  return merged;
}

/** A task's own routing options in the words of a call. Source: `extract_exec_options` of celery.app.task. */
export function taskRouteOptions(options: Partial<ResolvedTaskOptions>): RouteOptions {
  const { queue, exchange, routingKey, priority, serializer, compression, deliveryMode } = options;
  return overlay({}, {
    queue,
    exchange,
    routingKey,
    priority,
    serializer,
    compression,
    deliveryMode,
    expires: options.expiresMs,
    timeLimit: options.timeLimitMs,
    softTimeLimit: options.softTimeLimitMs,
    mandatory: options.mandatory === true ? true : null,
  } as RouteOptions);
}

/**
 * Options of a call with its route: the call's own win over the task's, these over the route's.
 * Without `queue` in the answer the default queue is meant (`destinationOf`).
 *
 * @param routes setting `taskRoutes`; compile it first where many calls are routed
 * @param options what the call says; `undefined` and null count as not said
 * @returns a fresh object; nothing given is changed
 *
 * @example
 * route({ 'feed.*': { queue: 'feeds', priority: 3 } }, 'feed.import', [], {}, { priority: 9 });
 * // { queue: 'feeds', priority: 9 }
 *
 * Source: `Router.route` of celery.app.routes. Differs: names of queues are looked up later, by `destinationOf`.
 */
export function route(
  routes: TaskRoutes | CompiledRoutes | null,
  name: string,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
  options: RouteOptions,
  task?: RoutedTask,
): RouteOptions {
  const { routers } = isCompiled(routes) ? routes : compileRoutes(routes);
  const said = task === undefined ? overlay({}, options) : overlay(taskRouteOptions(task.options), options);
  for (const router of routers) {
    const found = router(name, args, kwargs, said, task);
    if (found === null || found === undefined) continue;
    const answer = typeof found === 'string' ? { queue: found } : (camelRoute(found) as RouteOptions);
    return Object.keys(answer).length === 0 || answer.queue === '' ? said : routed(answer, said);
  }
  return said;
}

function routed(answer: RouteOptions, said: RouteOptions): RouteOptions {
  const merged = overlay(answer, said);
  return merged.exchange && !merged.queue ? { ...merged, queue: null } : merged;
}

function isCompiled(routes: TaskRoutes | CompiledRoutes | null): routes is CompiledRoutes {
  return routes !== null && typeof routes === 'object' && 'routers' in routes && Array.isArray(routes.routers);
}
