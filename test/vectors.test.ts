import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { decodeControlReplies, decodeControlRequest } from '../src/protocol/control.ts';
import { classify, decodeBody, decodeHeaders, decodeV1, decompressMessage } from '../src/protocol/decode.ts';
import { decodeEvents } from '../src/protocol/event.ts';
import type { Message } from '../src/protocol/message.ts';
import { decodeResult, encodeResult } from '../src/protocol/result.ts';
import { argsRepr, kwargsRepr } from '../src/protocol/safe-repr.ts';
import type { TaskHeaders } from '../src/protocol/task-message.ts';
import { bodyV2, encodeTaskV2 } from '../src/protocol/v2.ts';
import { decodeEnvelope, encodeEnvelope } from '../src/protocol/virtual.ts';
import { loads, pythonJson } from '../src/serializers/json.ts';
import { createSerializers } from '../src/serializers/registry.ts';

/*
 * Every message and result that real Celery left in test/vectors is read, written again and compared.
 */

const ROOT = fileURLToPath(new URL('./vectors/', import.meta.url));
const serializers = createSerializers();
const accept = serializers.acceptSet(['json']);

interface Found {
  readonly file: string;
  readonly message: Message;
}

interface Collected {
  readonly envelopes: { readonly file: string; readonly text: string }[];
  readonly results: { readonly file: string; readonly text: string }[];
  readonly amqp: Found[];
}

type Dict = Readonly<Record<string, unknown>>;

function isDict(value: unknown): value is Dict {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function amqpMessage(raw: Dict): Message | undefined {
  const { body_base64, headers, properties } = raw;
  if (typeof body_base64 !== 'string' || !isDict(headers)) return undefined;
  const known = (isDict(properties) ? properties : {}) as Readonly<Record<string, string | undefined>>;
  return {
    body: Buffer.from(body_base64, 'base64'),
    contentType: known['content_type'] ?? '',
    contentEncoding: known['content_encoding'] ?? 'utf-8',
    headers,
    properties: { correlationId: known['correlation_id'] },
  };
}

function collect(file: string, value: unknown, into: Collected): void {
  if (typeof value === 'string') {
    if (value.startsWith('{"body": ')) into.envelopes.push({ file, text: value });
    if (value.startsWith('{"status": ')) into.results.push({ file, text: value });
  } else if (Array.isArray(value)) {
    for (const item of value) collect(file, item, into);
  } else if (isDict(value)) {
    const message = amqpMessage(value);
    if (message) into.amqp.push({ file, message });
    for (const item of Object.values(value)) collect(file, item, into);
  }
}

function readAll(version: string): Collected {
  const into: Collected = { envelopes: [], results: [], amqp: [] };
  const names = readdirSync(join(ROOT, version), { recursive: true }) as string[];
  for (const name of names.filter((one) => one.endsWith('.json'))) {
    collect(join(version, name), loads(readFileSync(join(ROOT, version, name))), into);
  }
  return into;
}

/** JavaScript does not know 2.0 from 2. */
function withoutPointZero(json: string): string {
  return json.replace(/(\d)\.0(?=[,\]}])/g, '$1');
}

/** JSON does not know a tuple from a list. */
function withoutTuples(repr: string): string {
  return withoutPointZero(repr.replaceAll(',)', ')').replaceAll('(', '[').replaceAll(')', ']'));
}

/** Cases whose repr was given by the caller, or shows values that JSON cannot carry as they were. */
const OWN_REPR = /argsrepr_given|json_keys|json_tuple|json_lazy|json_enum|5\.2.*json_extended/;

function isTask(message: Message): boolean {
  return classify(message) === 'v2';
}

const versions = ['5.6', '5.2'].map((version) => [version, readAll(version)] as const);

describe.each(versions)('Celery %s', (version, { envelopes, results, amqp }) => {
  const all: Found[] = [
    ...amqp,
    ...envelopes.map(({ file, text }) => ({ file, message: decodeEnvelope(text).message })),
  ];
  const json = all.filter(({ message }) => message.contentType === 'application/json');

  test('there are vectors', () => {
    expect([envelopes.length > 100, results.length > 100, amqp.length > 100]).toEqual([true, true, true]);
  });

  test('envelopes are written as they were read', () => {
    for (const { file, text } of envelopes) {
      const envelope = decodeEnvelope(text);
      const again = encodeEnvelope(envelope.message, envelope);
      const expected = loads(text) as { redelivered?: true; properties: { delivery_info: { redelivered?: true } } };
      delete expected.redelivered;
      delete expected.properties.delivery_info.redelivered;
      expect(loads(again), file).toEqual(expected);
    }
  });

  test('results are written byte for byte as they were read', () => {
    for (const { file, text } of results) {
      const again = encodeResult(decodeResult(text));
      expect(withoutPointZero(again), file).toBe(withoutPointZero(text).replace('"children": null', '"children": []'));
    }
  });

  test('JSON bodies are written byte for byte as they were read', async () => {
    for (const { file, message } of json) {
      const text = Buffer.from((await decompressMessage(message)).body).toString();
      expect(withoutPointZero(pythonJson(loads(text))), file).toBe(withoutPointZero(text));
    }
  });

  test('task messages of protocol 2 are read and written again', async () => {
    let count = 0;
    for (const { file, message } of json.filter((one) => isTask(one.message))) {
      const plain = await decompressMessage(message);
      const headers = decodeHeaders(plain);
      const body = decodeBody(plain, serializers, accept);
      if (version === '5.6') expect(headers, file).toBe(plain.headers);
      const again = encodeTaskV2(headers, body, (value) => serializers.encode(value, 'json'), plain.properties);
      expect(decodeBody(again, serializers, accept), file).toEqual(body);
      expect(withoutPointZero(pythonJson(bodyV2(body))), file).toBe(
        withoutPointZero(Buffer.from(plain.body).toString()),
      );
      expect(again.properties.correlationId).toBe(headers.id);
      if (!OWN_REPR.test(file) && headers.argsrepr !== '(...)') expectReprs(file, headers, body.args, body.kwargs);
      count++;
    }
    expect(count).toBeGreaterThan(100);
  });

  test('task messages of protocol 1 are read', () => {
    const old = json.filter(({ file, message }) => file.includes('protocol1') && !isTask(message));
    const tasks = old.filter(({ message }) => Buffer.from(message.body).toString().startsWith('{"task"'));
    for (const { message } of tasks) {
      const content = loads(message.body) as Dict;
      const { headers, body } = decodeV1(message, serializers, accept);
      expect(body.args).toEqual(content['args']);
      expect(body.embed).toEqual({
        callbacks: content['callbacks'],
        errbacks: content['errbacks'],
        chain: null,
        chord: content['chord'],
      });
      for (const name of ['task', 'id', 'retries', 'eta', 'expires', 'timelimit', 'group', 'group_index'] as const) {
        expect(headers[name] ?? null, name).toEqual(content[name] ?? null);
      }
    }
    expect(tasks.length).toBeGreaterThan(5);
  });

  test('events, control requests and replies are read', () => {
    const seen = { events: 0, requests: 0, replies: 0, rest: 0 };
    for (const { message } of json.filter((one) => !isTask(one.message))) {
      const content = loads(message.body);
      if (isDict(content) && typeof content['method'] === 'string') {
        expect(decodeControlRequest(message, serializers, accept).method).toBe(content['method']);
        seen.requests++;
      } else if (message.headers['ticket'] !== undefined) {
        expect(decodeControlReplies(message, serializers, accept)[0]?.node).toBe(Object.keys(content as Dict)[0]);
        seen.replies++;
      } else if (message.headers['hostname'] !== undefined) {
        expect(decodeEvents(message, serializers, accept).length).toBe(Array.isArray(content) ? content.length : 1);
        seen.events++;
      } else seen.rest++;
    }
    expect([seen.events > 50, seen.requests > 50, seen.replies > 50]).toEqual([true, true, true]);
  });
});

function expectReprs(file: string, headers: TaskHeaders, args: readonly unknown[], kwargs: Dict): void {
  expect(withoutTuples(argsRepr(args)), file).toBe(withoutTuples(headers.argsrepr));
  expect(withoutTuples(kwargsRepr(kwargs)), file).toBe(withoutTuples(headers.kwargsrepr));
}
