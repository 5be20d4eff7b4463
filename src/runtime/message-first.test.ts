import { Writable } from 'node:stream';
import { expect, test, vi } from 'vitest';
import winston from 'winston';
import { Celery } from '../index.ts';
import { eventually } from '../testing/eventually.ts';
import { Worker } from '../worker/index.ts';
import { messageFirst } from './message-first.ts';

test('winston: every line of a task carries its name and id', async () => {
  const lines: Record<string, unknown>[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      lines.push(JSON.parse(String(chunk)) as Record<string, unknown>);
      done();
    },
  });
  const log = winston.createLogger({ level: 'info', transports: [new winston.transports.Stream({ stream })] });
  await using app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, log: messageFirst(log) });
  const bake = app.task('bake', { bind: true }, (ctx, loaves: number) => {
    ctx.log.info({ loaves }, 'in the oven');
    ctx.log.debug({}, 'too chatty');
    return loaves;
  });
  await using worker = new Worker(app, { hostname: 'w@winston' });
  await worker.start();
  const { id } = await bake.delay(12);
  await eventually(() => lines.some(({ message }) => message === 'task succeeded'), 'it ran');
  const about = { level: 'info', task: 'bake', taskId: id };
  expect(lines).toContainEqual({ ...about, rootId: id, message: 'in the oven', loaves: 12 });
  expect(lines).toContainEqual(expect.objectContaining({ ...about, message: 'task received', worker: 'w@winston' }));
  expect(lines.some(({ message }) => message === 'too chatty')).toBe(false);
  expect(app.log.isLevelEnabled?.('debug')).toBe(false);
  expect(app.log.isLevelEnabled?.('fatal')).toBe(true);
});

test('console: a level, fields bound by child, and fatal where there is none', () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const error = vi.spyOn(console, 'error').mockImplementation(() => {});
  const info = vi.spyOn(console, 'info').mockImplementation(() => {});
  try {
    const log = messageFirst(console, { level: 'warn' }).child({ task: 't' });
    log.info({}, 'not shown');
    log.warn({ n: 1 }, 'shown');
    log.fatal({ n: 2 }, 'the end');
    expect(info).not.toHaveBeenCalled();
    expect(warn.mock.calls).toEqual([['shown', { task: 't', n: 1 }]]);
    expect(error.mock.calls).toEqual([['the end', { task: 't', n: 2 }]]);
    expect([log.isLevelEnabled?.('info'), log.isLevelEnabled?.('warn')]).toEqual([false, true]);
  } finally {
    for (const spy of [warn, error, info]) spy.mockRestore();
  }
});
