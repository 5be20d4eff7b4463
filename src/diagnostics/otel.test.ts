import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import { Celery, chain } from '../index.ts';
import { Worker } from '../worker/index.ts';
import { instrument } from './otel.ts';

const exporter = new InMemorySpanExporter();
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
});
afterAll(() => {
  context.disable();
  propagation.disable();
});
beforeEach(() => exporter.reset());

const named = (name: string): ReadableSpan[] => exporter.getFinishedSpans().filter((span) => span.name === name);
const one = (name: string): Promise<ReadableSpan> => until(() => named(name)[0], { message: `a span ${name}` });
const id = (span: ReadableSpan): string => span.spanContext().spanId;
const traceOf = (span: ReadableSpan): string => span.spanContext().traceId;

test('one trace from the caller through retries and chain steps', async () => {
  await using app = new Celery({ broker: 'memory://', backend: 'memory://' });
  const stop = await instrument(app, { tracerProvider });
  const inner = app.task('inner', () => 1);
  const flaky = app.task('flaky', { bind: true, maxRetries: 1 }, async (ctx) => {
    if (ctx.retries === 0) throw ctx.retry({ countdown: 0, cause: new RangeError('not yet') });
    await inner.delay();
    return 2;
  });
  const next = app.task('next', (value: number) => value + 1);
  await using worker = new Worker(app, { hostname: 'w@h' });
  await worker.start();

  const tracer = tracerProvider.getTracer('test');
  await tracer.startActiveSpan('request', async (span) => {
    const handle = await chain(flaky.s(), next.s()).delay();
    span.end();
    expect(await handle.get({ timeout: '5s' })).toBe(3);
  });
  await one('run/next');
  await one('run/inner');
  const request = await one('request');
  const [first, second] = named('run/flaky') as [ReadableSpan, ReadableSpan];
  const [sent, resent] = named('apply_async/flaky') as [ReadableSpan, ReadableSpan];
  expect(sent.parentSpanContext?.spanId).toBe(id(request));
  expect(first.parentSpanContext?.spanId).toBe(id(sent));
  expect(resent.parentSpanContext?.spanId).toBe(id(first));
  expect(second.parentSpanContext?.spanId).toBe(id(resent));
  expect((await one('apply_async/inner')).parentSpanContext?.spanId).toBe(id(second));
  expect((await one('apply_async/next')).parentSpanContext?.spanId).toBe(id(second));
  expect(new Set(exporter.getFinishedSpans().map(traceOf)).size).toBe(1);
  expect([sent.kind, first.kind]).toEqual([SpanKind.PRODUCER, SpanKind.CONSUMER]);
  expect(sent.attributes).toMatchObject({ 'celery.action': 'apply_async', 'celery.task_name': 'flaky' });
  expect(first.attributes).toMatchObject({
    'celery.action': 'run',
    'celery.state': 'RETRY',
    'celery.retry.reason': 'not yet',
    'messaging.destination': 'celery',
  });
  expect(second.attributes).toMatchObject({ 'celery.state': 'SUCCESS', 'celery.retries': 1 });
  stop();
  stop();
  exporter.reset();
  await (await inner.delay()).get({ timeout: '5s' });
  expect(exporter.getFinishedSpans()).toEqual([]);
});

test('failures are recorded; those that are expected are not errors', async () => {
  await using app = new Celery({ broker: 'memory://', backend: 'memory://' });
  await instrument(app, { tracerProvider, links: true });
  const fail = app.task('fail', () => {
    throw new TypeError('no');
  });
  const expected = app.task('expected', { throws: [RangeError] }, () => {
    throw new RangeError('known');
  });
  await using worker = new Worker(app);
  await worker.start();
  await fail.delay();
  await expected.delay();
  const failed = await one('run/fail');
  expect(failed.status).toEqual({ code: SpanStatusCode.ERROR, message: 'no' });
  expect(failed.events[0]?.attributes).toMatchObject({ 'exception.type': 'TypeError', 'exception.message': 'no' });
  expect((await one('run/expected')).status.code).toBe(SpanStatusCode.UNSET);
  // With links, the run is the root of a trace of its own.
  const sent = await one('apply_async/fail');
  expect(failed.parentSpanContext).toBeUndefined();
  expect(failed.links[0]?.context.spanId).toBe(id(sent));
});

test('a message that the broker did not take', async () => {
  await using app = new Celery({ broker: 'redis://127.0.0.1:1', brokerConnectionTimeout: 1 });
  await instrument(app, { tracerProvider });
  await expect(app.send('t', [], { retry: false })).rejects.toThrow();
  expect((await one('apply_async/t')).status.code).toBe(SpanStatusCode.ERROR);
});

test('run time and queue latency are measured', async () => {
  const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 1_000_000 });
  const meterProvider = new MeterProvider({ readers: [reader] });
  await using app = new Celery({ broker: 'memory://', backend: 'memory://' });
  const stop = await instrument(app, { tracerProvider, meterProvider });
  const task = app.task('t', () => 1);
  await using worker = new Worker(app, { hostname: 'w@h' });
  await worker.start();
  await (await task.applyAsync([], { countdown: 1 })).get({ timeout: '5s' });
  await meterProvider.forceFlush();
  const points = metrics
    .getMetrics()
    .flatMap(({ scopeMetrics }) =>
      scopeMetrics.flatMap((scope) =>
        scope.metrics.flatMap(({ descriptor, dataPoints }) =>
          dataPoints.map(({ attributes }) => [descriptor.name, attributes] as const),
        ),
      ),
    );
  expect(points).toEqual(
    expect.arrayContaining([
      ['flower.task.runtime.seconds', { task: 't', worker: 'w@h' }],
      ['celeriac.task.queue_latency.seconds', { task: 't', worker: 'w@h', queue: 'celery' }],
    ]),
  );
  stop();
  await meterProvider.shutdown();
});

test('without the global set-up nothing breaks', async () => {
  await using app = new Celery({ broker: 'memory://', backend: 'memory://' });
  await instrument(app);
  const task = app.task('t', () => trace.getActiveSpan()?.isRecording() ?? false);
  await using worker = new Worker(app);
  await worker.start();
  expect(await (await task.delay()).get({ timeout: '5s' })).toBe(false);
});
