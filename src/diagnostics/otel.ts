import type { Attributes, Context, MeterProvider, Span, TextMapGetter, TracerProvider } from '@opentelemetry/api';
import type { Celery } from '../app/celery.ts';
import type { TaskRequest } from '../app/request.ts';
import type { Outcome } from '../app/trace.ts';
import { Lru } from '../events/lru.ts';
import { optional } from '../runtime/optional.ts';
import { VERSION } from '../version.ts';
import { listen, taskStarted } from './channels.ts';

/*
 * celeriac/otel: one trace from whoever sends a task, through the broker, to whoever runs it, with the package
 * @opentelemetry/api. The context travels in the header `traceparent`, and spans have the names and attributes, as
 * Python's opentelemetry-instrumentation-celery has them: a trace continues over Python and back.
 */

export interface OtelOptions {
  /** @default the global one */
  readonly tracerProvider?: TracerProvider | undefined;
  /** @default the global one */
  readonly meterProvider?: MeterProvider | undefined;
  /** The run's span begins a trace of its own, and links to the sender's. @default false */
  readonly links?: boolean | undefined;
}

const SCOPE = 'celeriac';
const SCOPE_ID = 'celeriac/otel';
/** Tasks whose follow-ups find their trace. */
const MOST_CONTEXTS = 10_000;

const getter: TextMapGetter<Readonly<Record<string, unknown>>> = {
  keys: (headers) => Object.keys(headers),
  get: (headers, key) => {
    const value = headers[key];
    return value === undefined || value === null ? undefined : String(value);
  },
};

/**
 * Traces what an app sends and runs, and measures its runs. Call it where the app is defined, so that the children of a
 * process pool are traced too; twice is once.
 *
 * @example
 * const app = new Celery({ broker });
 * await instrument(app);
 *
 * @returns a function that ends it; harmless twice
 * @throws {ImproperlyConfigured} without the package @opentelemetry/api
 */
export async function instrument(app: Celery, options: OtelOptions = {}): Promise<() => void> {
  const api = await optional('@opentelemetry/api', 'celeriac/otel', () => import('@opentelemetry/api'));
  const { context, propagation, trace: traces, metrics, ROOT_CONTEXT, SpanKind, SpanStatusCode } = api;
  const tracer = (options.tracerProvider ?? traces.getTracerProvider()).getTracer(SCOPE, VERSION);
  const meter = (options.meterProvider ?? metrics.getMeterProvider()).getMeter(SCOPE, VERSION);
  const runtime = meter.createHistogram('flower.task.runtime.seconds', {
    unit: 'seconds',
    description: 'The time it took to run the task.',
  });
  const latency = meter.createHistogram('celeriac.task.queue_latency.seconds', {
    unit: 'seconds',
    description: 'From when a task could have begun (sent, or its ETA) to when it did.',
  });
  /** Spans of messages that are on their way to the broker, by their headers. */
  const sending = new WeakMap<object, Span>();

  /** Where a task's follow-ups (retries, callbacks, next steps) belong, by its id. */
  const contexts = new Lru<Context>(MOST_CONTEXTS);
  /** Inside a run and in code of the application the active context; else that of the task which has ended. */
  const parentOf = (headers: Readonly<Record<string, unknown>>): Context => {
    if (app.lineage.current !== undefined) return context.active();
    const { parent_id: parentId, id } = headers;
    return contexts.peek(String(id)) ?? contexts.peek(String(parentId)) ?? context.active();
  };

  const sent = (headers: object, error?: unknown): void => {
    const span = sending.get(headers);
    if (span === undefined) return;
    sending.delete(headers);
    if (error !== undefined) fail(span, error);
    span.end();
  };
  const fail = (span: Span, error: unknown): void => {
    const known = error instanceof Error ? error : new Error(String(error));
    span.recordException(known);
    span.setStatus({ code: SpanStatusCode.ERROR, message: known.message });
  };

  const startRun = (request: TaskRequest): { readonly span: Span; readonly inside: Context } => {
    const name = `run/${request.task}`;
    const parent = propagation.extract(context.active(), request.headers ?? {}, getter);
    const attributes = runAttributes(request);
    const kind = SpanKind.CONSUMER;
    if (!options.links) {
      const span = tracer.startSpan(name, { kind, attributes }, parent);
      return { span, inside: traces.setSpan(parent, span) };
    }
    const sender = traces.getSpanContext(parent);
    const links = sender === undefined ? [] : [{ context: sender }];
    const span = tracer.startSpan(name, { kind, attributes, links, root: true }, context.active());
    return { span, inside: traces.setSpan(context.active(), span) };
  };

  const finishRun = (span: Span, outcome: Outcome): void => {
    span.setAttribute('celery.state', STATES[outcome.kind]);
    if (outcome.kind === 'retry') span.setAttribute('celery.retry.reason', reasonOf(outcome.error));
    if (outcome.kind === 'failure' && !outcome.expected) fail(span, outcome.error);
    span.end();
  };

  const undo = [
    app.on(
      'beforePublish',
      ({ sender, headers, exchange, routingKey }) => {
        const parent = parentOf(headers);
        const options = {
          kind: SpanKind.PRODUCER,
          attributes: {
            'celery.action': 'apply_async',
            'celery.task_name': sender,
            'messaging.message.id': String(headers['id']),
            'messaging.destination': routingKey,
            ...(exchange === '' ? {} : { 'celery.exchange': exchange }),
          },
        };
        const span = tracer.startSpan(`apply_async/${sender}`, options, parent);
        sending.set(headers, span);
        propagation.inject(traces.setSpan(parent, span), headers);
      },
      { id: SCOPE_ID },
    ),
    app.on('afterPublish', ({ headers }) => sent(headers), { id: SCOPE_ID }),
    app.on('publishFailed', ({ headers, error }) => sent(headers, error), { id: SCOPE_ID }),
    app.on(
      'taskReceived',
      // Where it runs in a child process, this is all that its worker knows of its trace.
      ({ request }) => contexts.set(request.id, propagation.extract(ROOT_CONTEXT, request.headers ?? {}, getter)),
      { id: SCOPE_ID },
    ),
    app.lineage.around(SCOPE_ID, async (request, run) => {
      const { span, inside } = startRun(request);
      contexts.set(request.id, inside);
      const startedMs = app.clock.monotonic();
      const outcome = await context.with(inside, run);
      runtime.record((app.clock.monotonic() - startedMs) / 1000, {
        task: request.task,
        worker: request.hostname ?? app.origin,
      });
      finishRun(span, outcome);
      return outcome;
    }),
    listen(taskStarted, ({ task, worker, queue, waitedMs }) => {
      if (waitedMs !== undefined) latency.record(waitedMs / 1000, { task, worker, queue });
    }),
  ];
  return () => undo.splice(0).forEach((one) => one());
}

const STATES: Readonly<Record<Outcome['kind'], string>> = {
  success: 'SUCCESS',
  failure: 'FAILURE',
  retry: 'RETRY',
  ignore: 'IGNORED',
  reject: 'REJECTED',
};

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Source: `utils.set_attributes_from_context` of Python's instrumentation. */
function runAttributes(request: TaskRequest): Attributes {
  const { deliveryInfo, retries, eta, expires } = request;
  return {
    'celery.action': 'run',
    'celery.task_name': request.task,
    'messaging.message.id': request.id,
    'messaging.destination': deliveryInfo.routingKey,
    ...(request.origin ? { 'celery.hostname': request.origin } : {}),
    ...(retries > 0 ? { 'celery.retries': retries } : {}),
    ...(eta === null ? {} : { 'celery.eta': String(eta) }),
    ...(expires === null ? {} : { 'celery.expires': String(expires) }),
  };
}
