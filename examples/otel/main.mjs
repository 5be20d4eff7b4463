// One trace from the caller to the worker: print the spans, and whose children they are.
import { context, propagation } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { Celery } from 'celeriac';
import { instrument } from 'celeriac/otel';
import { Worker } from 'celeriac/worker';

// An application has these from its SDK, once for all libraries.
const exporter = new InMemorySpanExporter();
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
await instrument(app, { tracerProvider });
const store = app.task('page.store', (/** @type {string} */ url) => `stored ${url}`);
const fetchPage = app.task('page.fetch', async (/** @type {string} */ url) => void (await store.delay(url)));

const worker = new Worker(app);
await worker.start();
await (await fetchPage.delay('https://example.org')).get({ timeout: '10s' });
await worker.stop();

const spans = exporter.getFinishedSpans();
const nameOf = (/** @type {string | undefined} */ id) => spans.find((span) => span.spanContext().spanId === id)?.name;
for (const span of spans) console.log(span.name, '<-', nameOf(span.parentSpanContext?.spanId) ?? 'nobody');
await app.close();
process.exitCode = new Set(spans.map((span) => span.spanContext().traceId)).size === 1 && spans.length === 4 ? 0 : 1;
