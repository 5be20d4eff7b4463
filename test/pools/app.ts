import { writeFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { Celery, Ignore, Reject, type CeleryOptions } from '../../src/index.ts';

/*
 * The app that pools load in their children. It lives where the environment says, so that every test has its own.
 */

/** Calls of `onFailure` in this process. */
export const failures: string[] = [];

export function poolApp(options: CeleryOptions = {}): Celery {
  const app = new Celery({ main: 'pools', ...options });
  app.task('add', (x: number, y: number) => x + y);
  app.task('echo', (value: unknown) => value);
  app.task('pid', () => process.pid);
  app.task('boom', (text: string) => {
    throw new RangeError(text);
  });
  app.task('ignored', () => {
    throw new Ignore();
  });
  app.task('rejected', () => {
    throw new Reject('no');
  });
  app.task('again', { bind: true, maxRetries: 2 }, (ctx) => {
    if (ctx.retries < 2) throw ctx.retry({ countdown: 0 });
    return ctx.retries;
  });
  app.task('step', { bind: true }, async (ctx) => {
    await ctx.progress(1, 2);
    ctx.log.info({ at: 1 }, 'half way');
    console.log('at %d', 2);
    await wait(50);
    return 'whole';
  });
  app.task('sleeps', { bind: true }, async (ctx, ms: number) => {
    await wait(ms, undefined, { signal: ctx.signal });
    return 'slept';
  });
  app.task('reason', { bind: true }, async (ctx, ms: number) => {
    try {
      await wait(ms, undefined, { signal: ctx.signal });
      return 'slept';
    } catch {
      return (ctx.signal.reason as Error).name;
    }
  });
  app.task('tidies', { bind: true }, async (ctx, path: string) => {
    await wait(60_000, undefined, { signal: ctx.signal }).catch(() => {});
    await wait(500);
    writeFileSync(path, `${process.pid} ${(ctx.signal.reason as Error).name}`);
  });
  app.task('spin', { acksLate: false }, (ms: number) => {
    const until = performance.now() + ms;
    while (performance.now() < until);
    return process.pid;
  });
  app.task(
    'endless',
    { timeLimit: '1s', hooks: { onFailure: (error) => void failures.push((error as Error).name) } },
    () => {
      for (;;);
    },
  );
  app.task('paused', { bind: true }, async (ctx) => {
    await ctx.debugger();
    return 'went on';
  });
  app.task('exit', { maxRetries: 0 }, (code: number) => process.exit(code));
  app.task('parent', async () => (await app.send('add', [1, 2])).id);
  app.task('fibonacci', { bind: true }, (ctx) => [ctx.request.args, ctx.request.kwargs, ctx.request.headers]);
  return app;
}

export const app = poolApp();
