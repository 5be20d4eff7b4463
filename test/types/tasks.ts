import type { Celery, CallOptions, EagerResult, RemoteTask, StandardSchema, Task } from 'celeriac';
import * as z from 'zod';
import { is } from './is.ts';

/** Never called: it has to compile, and to be refused where it says so. */
export async function proofs(app: Celery): Promise<void> {
  const fetchPage = app.task(
    'web.fetch',
    { bind: true, softTimeLimit: '20s', timeLimit: '30s', maxRetries: 5, acksLate: true },
    async (ctx, url: string) => {
      const response = await fetch(url, { signal: ctx.signal });
      if (response.status === 503) throw ctx.retry({ countdown: '30s' });
      ctx.log.info({ url, status: response.status }, 'page fetched');
      return { url, html: await response.text() };
    },
  );
  is<Task<[url: string], { url: string; html: string }>>()(fetchPage);

  const plain = app.task('plain', { queue: 'slow' }, (name: string, times?: number) => name.repeat(times ?? 1));
  plain satisfies Task<[name: string, times?: number], string>;
  is<string>()(await plain.run('a'));
  is<EagerResult<string>>()(await plain.apply(['a', 2]));
  await plain.applyAsync(['a'], { countdown: '10s', expires: '1h', priority: 7, queue: 'slow' });
  // @ts-expect-error name is text
  await plain.applyAsync([1]);
  // @ts-expect-error no such option
  await plain.applyAsync(['a'], { countDown: '10s' });
  // @ts-expect-error no such task option
  app.task('bad', { queu: 'slow' }, () => 1);

  const size = z.object({ width: z.number().int().max(4096) });
  const resize = app.task(
    'img.resize',
    { args: z.tuple([z.string(), size]), params: ['path', 'size'], rateLimit: '10/s' },
    async (path, { width }) => `${path}@${width}.webp`,
  );
  await resize.delay('cat.png', { width: 640 });
  // @ts-expect-error width is a number
  await resize.delay('cat.png', { width: '640' });

  const coerced = {} as StandardSchema<[when: string], [when: Date]>;
  const remind = app.task('remind', { bind: true, args: coerced }, (ctx, when) => when.getTime() + ctx.retries);
  is<Task<[when: string], number>>()(remind);

  const train = app.remoteTask<(dataset: string, epochs?: number) => { auc: number }>('ml.train', { queue: 'gpu' });
  train satisfies RemoteTask<[dataset: string, epochs?: number], { auc: number }>;
  // @ts-expect-error it runs elsewhere: there is no body to call
  await train.run('sales');

  const result = await fetchPage.delay('https://example.org');
  for await (const update of result.updates({ signal: AbortSignal.timeout(60_000) })) {
    if (update.state === 'STARTED') is<string | null>()(update.worker);
    if (update.state === 'SUCCESS') is<string>()(update.value.html);
    if (update.state === 'FAILURE') is<Error>()(update.error);
    if (update.state === 'CUSTOM') is<unknown>()(update.meta);
  }
  is<number>()(await app.result<number>('id').get({ timeout: '1s', signal: AbortSignal.timeout(1) }));

  const options: CallOptions = { eta: new Date(0), expires: '2026-01-01T00:00:00Z' };
  await app.send('proj.add', [2, 3], options);
}
