import { configDifferences, maskedConfig, type Config } from '../app/config.ts';
import type { Exchange, Queue } from '../messaging/entity.ts';
import { exchange, queue } from '../messaging/entity.ts';
import { toIso } from '../protocol/time.ts';
import type { BrokerInfo } from '../transports/transport.ts';
import type { ExchangeType } from '../messaging/entity.ts';
import type { Request } from './request.ts';
import { requestInfo } from './request-info.ts';
import { parseRate } from './rate-limit.ts';
import type { Autoscaler } from './autoscale.ts';
import { MEMORY_COMMANDS } from './memory-commands.ts';
import { POOL_COMMANDS } from './pool-commands.ts';
import { REVOKE_COMMANDS } from './revoke-commands.ts';
import type { Elections } from './election.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { Executor } from './executor.ts';
import type { WorkerParts } from './parts.ts';
import type { Pool } from '../pools/pool.ts';
import { SOFTWARE } from './software.ts';

type Arguments = Readonly<Record<string, unknown>>;

/** What commands may touch of their worker. */
export interface Commanded {
  readonly parts: WorkerParts;
  readonly executor: Executor;
  readonly pool: Pool;
  readonly heartbeat: Heartbeat | undefined;
  /** Undefined without gossip. */
  readonly elections: Elections | undefined;
  readonly broker: BrokerInfo & { readonly transport: string };
  readonly startedMs: number;
  readonly prefetchCount: number;
  readonly held: Iterable<Request>;
  queues(): readonly Queue[];
  addConsumer(queue: Queue): void;
  cancelConsumer(name: string): void;
  /** Revoked before its time came: announced at once. @param signum not null: it was to be terminated */
  dropHeld(request: Request, signum: number | null): void;
  readonly autoscaler: Autoscaler | undefined;
  resize(by: number): void;
  restartPool(): void;
  shutdown(reason: string): void;
  report(): string;
  /** What steps of the app's own tell for `stats`. */
  stepInfo(): Readonly<Record<string, unknown>>;
}

/** What a command answers; `undefined` sends no reply. */
export type Command = (worker: Commanded, args: Arguments) => unknown;

const ok = (text: string): { ok: string } => ({ ok: text });
const no = (text: string): { error: string } => ({ error: text });

function ids(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).filter((id): id is string => typeof id === 'string');
}

function* everyRequest(worker: Commanded): Generator<Request> {
  yield* worker.held;
  yield* worker.executor.waiting;
  yield* worker.executor.running;
}

const reserved = (worker: Commanded): Request[] => [...worker.executor.waiting];
const active = (worker: Commanded): Request[] =>
  [...worker.executor.running].filter((one) => one.startedMs !== undefined);

/** Source: celery.worker.control `_state_of_task`, `query_task`. */
function queryTask(worker: Commanded, args: Arguments): Record<string, unknown> {
  const wanted = new Set(ids(args['ids']));
  const found: Record<string, unknown> = {};
  for (const request of everyRequest(worker)) {
    if (!wanted.has(request.id)) continue;
    const where = request.startedMs === undefined ? 'reserved' : 'active';
    found[request.id] = [where, requestInfo(worker.parts, request)];
  }
  return found;
}

function rateLimit({ parts, executor }: Commanded, args: Arguments): unknown {
  const name = String(args['task_name']);
  const limit = (args['rate_limit'] ?? null) as string | number | null;
  try {
    parseRate(limit);
  } catch (error) {
    return no(`Invalid rate limit string: ValueError('${(error as Error).message.replaceAll("'", "\\'")}')`);
  }
  if (!parts.app.tasks.has(name)) {
    parts.log.error({ task: name }, 'rate limit attempt for unknown task');
    return no('unknown task');
  }
  executor.rateLimits.set(name, limit);
  return ok(
    limit === null || limit === '' || limit === 0
      ? 'rate limit disabled successfully'
      : 'new rate limit set successfully',
  );
}

function registered({ parts }: Commanded, args: Arguments): string[] {
  const items = Array.isArray(args['taskinfoitems'])
    ? args['taskinfoitems'].map(String)
    : ['exchange', 'routing_key', 'rate_limit'];
  return parts.app.tasks
    .names()
    .filter((name) => args['builtins'] === true || !name.startsWith('celery.'))
    .map((name) => {
      const options = { ...parts.app.tasks.get(name)?.options, name } as Readonly<Record<string, unknown>>;
      const shown = items.flatMap((item) => {
        const value = options[item.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())];
        return value === null || value === undefined || typeof value === 'object'
          ? []
          : [`${item}=${pythonText(value)}`];
      });
      return shown.length === 0 ? name : `${name} [${shown.join(' ')}]`;
    });
}

function pythonText(value: unknown): string {
  return value === true ? 'True' : value === false ? 'False' : String(value);
}

function stats(worker: Commanded): unknown {
  const { parts, pool, broker } = worker;
  const usage = process.resourceUsage();
  return {
    ...worker.stepInfo(),
    total: Object.fromEntries(parts.counters.total),
    pid: process.pid,
    clock: String(parts.app.lamport.value),
    uptime: Math.round((parts.app.clock.monotonic() - worker.startedMs) / 1000),
    pool: pool.info(),
    ...(worker.autoscaler && { autoscaler: worker.autoscaler.info() }),
    broker: {
      hostname: broker.hostname,
      userid: broker.userid,
      virtual_host: broker.virtualHost,
      port: broker.port,
      insist: false,
      ssl: broker.ssl,
      transport: broker.transport,
      connect_timeout: parts.app.conf.brokerConnectionTimeout,
      transport_options: {},
      login_method: null,
      uri_prefix: null,
      heartbeat: parts.app.conf.brokerHeartbeat,
      failover_strategy: failoverName(parts.app.conf.brokerFailoverStrategy),
      alternates: [],
      credential_provider: null,
    },
    prefetch_count: worker.prefetchCount,
    rusage: {
      utime: usage.userCPUTime / 1e6,
      stime: usage.systemCPUTime / 1e6,
      maxrss: usage.maxRSS,
      ixrss: usage.sharedMemorySize,
      idrss: usage.unsharedDataSize,
      isrss: usage.unsharedStackSize,
      minflt: usage.minorPageFault,
      majflt: usage.majorPageFault,
      nswap: usage.swappedOut,
      inblock: usage.fsRead,
      oublock: usage.fsWrite,
      msgsnd: usage.ipcSent,
      msgrcv: usage.ipcReceived,
      nsignals: usage.signalsCount,
      nvcsw: usage.voluntaryContextSwitches,
      nivcsw: usage.involuntaryContextSwitches,
    },
    celeriac: {
      malformed: parts.counters.malformed,
      unknown: parts.counters.unknown,
      leases_lost: parts.counters.leasesLost,
      connects: parts.counters.connects,
    },
  };
}

/** Settings under Celery's names; without defaults only what differs from them. */
function conf({ parts }: Commanded, args: Arguments): unknown {
  const config = parts.app.conf;
  const changed = new Set<string>(configDifferences(config).map(({ name }) => name));
  const shown = Object.entries(maskedConfig(config)).filter(
    ([name]) => args['with_defaults'] === true || changed.has(name),
  );
  return Object.fromEntries(
    shown.map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      typeof value === 'function' || value instanceof RegExp ? String(value) : value,
    ]),
  );
}

/** Spec: remote-control.md A9. */
function queueInfo(one: Queue): unknown {
  const of: Exchange = one.exchange ?? exchange('');
  return {
    name: one.name,
    exchange: {
      name: of.name,
      type: of.type,
      arguments: of.arguments ?? null,
      durable: of.durable,
      passive: false,
      auto_delete: of.autoDelete,
      delivery_mode: of.deliveryMode ?? null,
      no_declare: false,
    },
    routing_key: one.routingKey,
    queue_arguments: one.arguments ?? null,
    binding_arguments: null,
    consumer_arguments: null,
    durable: one.durable,
    exclusive: one.exclusive,
    auto_delete: one.autoDelete,
    no_ack: one.noAck ?? false,
    alias: one.alias ?? null,
    bindings: [],
    no_declare: null,
    expires: one.expiresMs === undefined ? null : one.expiresMs / 1000,
    message_ttl: one.messageTtlMs === undefined ? null : one.messageTtlMs / 1000,
    max_length: one.maxLength ?? null,
    max_length_bytes: one.maxLengthBytes ?? null,
    max_priority: one.maxPriority ?? null,
  };
}

function addConsumer(worker: Commanded, args: Arguments): unknown {
  const { app } = worker.parts;
  const name = String(args['queue']);
  const text = (key: string): string | undefined => (typeof args[key] === 'string' ? (args[key] as string) : undefined);
  const asked = app.queues.has(name) && text('exchange') === undefined ? app.queues.get(name) : undefined;
  const chosen =
    asked ??
    queue(name, {
      exchange: exchange(text('exchange') ?? name, {
        type: (text('exchange_type') as ExchangeType | undefined) ?? 'direct',
      }),
      routingKey: text('routing_key') ?? name,
    });
  worker.addConsumer(app.queues.selectAdd(chosen));
  return ok(`add consumer ${name}`);
}

function hello({ parts }: Commanded, args: Arguments): unknown {
  if (args['from_node'] === parts.hostname) return null;
  parts.revoked.merge(args['revoked']);
  return { revoked: parts.revoked.exchange(), clock: parts.app.lamport.tick() };
}

/** By name on the wire; aliases are Celery's old names. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  ping: () => ok('pong'),
  report: (worker) => ok(worker.report()),
  conf,
  stats,
  clock: ({ parts }) => ({ clock: parts.app.lamport.value }),
  active: (worker, args) => active(worker).map((one) => requestInfo(worker.parts, one, args['safe'] === true)),
  reserved: (worker) => reserved(worker).map((one) => requestInfo(worker.parts, one)),
  scheduled: (worker) =>
    [...worker.held].map((one) => ({
      eta: one.etaMs === undefined ? null : toIso(one.etaMs, worker.parts.app.conf.timezone ?? null),
      priority: 6,
      request: requestInfo(worker.parts, one),
    })),
  revoked: ({ parts }) => parts.revoked.list(),
  registered,
  query_task: queryTask,
  active_queues: (worker) => worker.queues().map(queueInfo),
  hello,
  ...MEMORY_COMMANDS,
  ...REVOKE_COMMANDS,
  rate_limit: rateLimit,
  add_consumer: addConsumer,
  cancel_consumer(worker, args) {
    const name = String(args['queue']);
    worker.parts.app.queues.deselect([name]);
    worker.cancelConsumer(name);
    return ok(`no longer consuming from ${name}`);
  },
  ...POOL_COMMANDS,
  enable_events({ parts, heartbeat }) {
    if (parts.events.taskEvents) return ok('task events already enabled');
    parts.events.enableTaskEvents();
    heartbeat?.announce();
    return ok('task events enabled');
  },
  disable_events({ parts }) {
    if (!parts.events.taskEvents) return ok('task events already disabled');
    parts.events.disableTaskEvents();
    return ok('task events disabled');
  },
  heartbeat({ parts }) {
    parts.events.send('worker-heartbeat', { freq: 5, ...SOFTWARE });
    return null;
  },
  election({ elections }, args) {
    elections?.call(String(args['id']), String(args['topic']), args['action'] ?? null);
    return null;
  },
  shutdown(worker) {
    worker.shutdown('remote control');
    return undefined;
  },
};

/** Celery's older names. */
export const ALIASES: Readonly<Record<string, string>> = {
  dump_conf: 'conf',
  dump_active: 'active',
  dump_reserved: 'reserved',
  dump_schedule: 'scheduled',
  dump_revoked: 'revoked',
  dump_tasks: 'registered',
};

function failoverName(strategy: Config['brokerFailoverStrategy']): string {
  return typeof strategy === 'function' ? strategy.name : (strategy ?? 'round-robin');
}
