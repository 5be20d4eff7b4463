import { context, propagation } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { instrument } from '../../src/diagnostics/otel.ts';
import { Celery } from '../../src/index.ts';
import { Worker } from '../../src/worker/index.ts';
import { startRedis, type RedisServer } from '../drivers/redis-support.ts';
import { missing } from '../support/available.ts';
import { pythonCalls, pythonWorker, type PythonSide } from '../support/python.ts';
import { until } from '../support/until.ts';

/*
 * Traces across languages: `traceparent` is where Python's opentelemetry-instrumentation-celery reads and writes it, an
 * attribute of the request that comes from a message header.
 */

const reason = missing('redis') ?? missing('python');

describe.skipIf(reason !== undefined)(`traces${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let redis: RedisServer;
  let side: PythonSide;
  let app: Celery;
  const exporter = new InMemorySpanExporter();

  beforeAll(async () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    redis = await startRedis();
    side = { broker: redis.url(0), backend: redis.url(1) };
    app = new Celery(side);
    app.task('ts.add', (x: number, y: number) => x + y);
    await instrument(app, {
      tracerProvider: new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
    });
  });

  afterAll(async () => {
    context.disable();
    propagation.disable();
    await app?.close();
    await redis?.stop();
  });

  test('Python’s request has the context of our span', async () => {
    await using _python = await pythonWorker(side, { queues: 'celery' });
    const handle = await app.send<{ traceparent: string }>('py.request');
    const { traceparent } = await handle.get({ timeout: '20s' });
    const [span] = exporter.getFinishedSpans().filter(({ name }) => name === 'apply_async/py.request');
    const { traceId, spanId } = span?.spanContext() ?? {};
    expect(traceparent).toBe(`00-${traceId}-${spanId}-01`);
  });

  test('our run continues the trace that Python’s message carries', async () => {
    await using worker = new Worker(app, { hostname: 'ts@test', queues: ['ts'] });
    await worker.start();
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const spanId = 'b7ad6b7169203331';
    const headers = { traceparent: `00-${traceId}-${spanId}-01` };
    const [outcome] = await pythonCalls(side, [{ name: 'ts.add', args: [2, 3], options: { queue: 'ts', headers } }]);
    expect(outcome?.value).toBe(5);
    const run = await until(() => exporter.getFinishedSpans().find(({ name }) => name === 'run/ts.add'));
    expect(run.spanContext().traceId).toBe(traceId);
    expect(run.parentSpanContext?.spanId).toBe(spanId);
    expect(run.attributes).toMatchObject({ 'celery.state': 'SUCCESS', 'messaging.destination': 'ts' });
  });
});
