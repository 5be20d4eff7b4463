import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { Celery } from '../app/celery.ts';
import type { Message } from '../protocol/message.ts';
import { taskMessage, testApp, testWorker } from '../testing/index.ts';

/*
 * Whoever may write to the broker may write anything. Each message here is settled, its caller gets a failure, the
 * next one runs, and nothing outside the message is touched.
 */

let ids = 0;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A message as a stranger would write it: valid around, hostile inside. */
function hostile(task: string, body: string | Uint8Array, headers: object = {}): Message & { readonly id: string } {
  const id = `hostile-${++ids}`;
  const good = taskMessage(task, { id });
  const all = JSON.parse(JSON.stringify(good.headers)) as Record<string, unknown>;
  for (const [name, value] of Object.entries(headers)) {
    Object.defineProperty(all, name, { value: value as unknown, enumerable: true, configurable: true, writable: true });
  }
  return { ...good, id, body: typeof body === 'string' ? bytes(body) : body, headers: all };
}

async function failureOf(app: Celery, message: Message & { readonly id: string }): Promise<Error> {
  await app.publisher.publishRaw(message, { exchange: '', routingKey: 'celery' });
  return (await app.result(message.id).get({ timeout: '10s', propagate: false })) as Error;
}

const EMBED = '{"callbacks":null,"errbacks":null,"chain":null,"chord":null}';

test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'child_process.exec'])(
  'no task is called %s',
  async (name) => {
    await using app = testApp();
    await using _ = await testWorker(app);
    expect(await failureOf(app, hostile(name, `[[],{},${EMBED}]`))).toMatchObject({ code: 'ERR_NOT_REGISTERED' });
    // Nor through a built-in one that runs or sends others.
    const kwargs = JSON.stringify({ task: { task: name, args: [], kwargs: {}, options: {} }, it: [1] });
    expect(await failureOf(app, hostile('celery.map', `[[],${kwargs},${EMBED}]`))).toMatchObject({
      code: 'ERR_NOT_REGISTERED',
    });
  },
);

test('keys of a prototype are keys, in arguments and in headers', async () => {
  await using app = testApp();
  const seen: unknown[] = [];
  app.task('look', { bind: true }, (ctx, value: unknown) => {
    seen.push(value, ctx.request.headers);
    return Object.keys(value as object);
  });
  await using _ = await testWorker(app);
  const args = '[{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}]';
  const message = hostile('look', `[${args},{},${EMBED}]`, { ['__proto__']: { polluted: 1 }, mine: 2 });
  expect(await failureOf(app, message)).toEqual(['__proto__', 'constructor']);
  const [value, headers] = seen as [object, object];
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  expect(Object.getPrototypeOf(headers)).toBe(Object.prototype);
  expect(headers).toEqual({ mine: 2 });
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
});

test.each([
  ['application/x-gzip', gzipSync],
  ['application/gzip', gzipSync],
  ['application/zlib', deflateSync],
  ['application/x-brotli', brotliCompressSync],
])('a bomb in %s is refused at the bound', async (compression, compress) => {
  await using app = testApp({ maxDecompressedBytes: 100_000 });
  await using _ = await testWorker(app);
  app.task('known', () => 'ran');
  const bomb = compress(Buffer.alloc(20_000_000, 0x20));
  expect(bomb.length).toBeLessThan(100_000);
  const before = process.memoryUsage().arrayBuffers;
  expect(await failureOf(app, hostile('known', bomb, { compression }))).toBeInstanceOf(Error);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(15_000_000);
  expect(await (await app.send('known')).get({ timeout: '30s' })).toBe('ran');
});

test('a body that is too large, too deep or too many things ends as one failure', async () => {
  await using app = testApp({ maxMessageBytes: 3_000_000 });
  await using _ = await testWorker(app);
  app.task('known', (value: unknown) => typeof value);
  const deep = 200_000;
  const bodies = [
    'x'.repeat(3_000_001),
    '['.repeat(1_000_000),
    `[[${'9'.repeat(50_000)}],{},${EMBED}]`,
    `[[],${JSON.stringify({ a: 1 })},{"callbacks":${'['.repeat(deep)}${']'.repeat(deep)}}]`,
  ];
  for (const body of bodies) {
    expect(await failureOf(app, hostile('known', body)), body.slice(0, 40)).toBeInstanceOf(Error);
  }
  expect(await (await app.send('known', [1])).get({ timeout: '30s' })).toBe('number');
});

test.each(['application/x-python-serialize', 'application/x-yaml', 'application/data', 'text/html'])(
  'content of type %s is not read where it is not accepted',
  async (contentType) => {
    await using app = testApp();
    let ran = 0;
    app.task('known', () => ++ran);
    await using _ = await testWorker(app);
    const error = await failureOf(app, { ...hostile('known', `[[],{},${EMBED}]`), contentType });
    expect(error).toBeInstanceOf(Error);
    expect(ran).toBe(0);
  },
);
