import { chain, chord, group, type AsyncResult, type Celery, type GroupResult, type Signature } from 'celeriac';
import { is } from './is.ts';

/** Never called: an unused `@ts-expect-error` is itself an error, so each refusal is proven too. */
export async function proofs(app: Celery): Promise<void> {
  const add = app.task('add', (x: number, y: number) => x + y);
  const fetchPage = app.task('fetchPage', { bind: true }, async (ctx, url: string) => {
    if (ctx.signal.aborted) throw ctx.retry({ countdown: '1s' });
    return { url, html: '' };
  });
  const words = app.task('words', (page: { html: string }) => page.html.length);
  const links = app.task('links', (page: { html: string }, limit?: number) => [page.html].slice(0, limit));
  const total = app.task('total', (xs: number[]) => xs.length);
  const report = app.task('report', (parts: [words: number, links: string[]]) => parts[1].join());
  const onFail = app.task('onFail', (taskId: string) => taskId);
  const onFailInline = app.task(
    'onFailInline',
    (request: { id: string }, error: Error, traceback: string | null) => `${request.id} ${error.message} ${traceback}`,
  );

  is<AsyncResult<number>>()(await add.delay(1, 2));
  is<number>()(await (await add.delay(1, 2)).get());
  is<Signature<[x: number], number>>()(add.s(2));
  is<Signature<[], number>>()(add.s(1, 2));
  // @ts-expect-error one argument is missing
  await add.delay(1);
  // @ts-expect-error y is a number
  add.s('2');

  is<Signature<[url: string], number>>()(chain(fetchPage.s(), words.s(), add.s(10)));
  is<Signature<[], string[]>>()(fetchPage.s('u').pipe(links.s(5)).linkError(onFail.s()));
  is<Signature<[], string[]>>()(fetchPage.s('u').pipe(links.s(5)).linkError(onFailInline.s()));
  is<Signature<[], number>>()([1, 2].reduce((sum, n) => sum.pipe(add.s(n)), add.s(0, 0)));
  is<Signature<[], number>>()(add.s(1, 2).set({ queue: 'slow', countdown: '10s' }).freeze().clone());
  // @ts-expect-error no such option
  add.s(1, 2).set({ que: 'slow' });
  chain(add.s(1, 2), add.si(3, 4));
  // @ts-expect-error a number is not a page
  chain(add.s(1, 2), words.s());
  // @ts-expect-error nothing left to receive the result; `.si()` says that is intended
  chain(add.s(1, 2), add.s(3, 4));
  // @ts-expect-error the third link is the broken one
  chain(fetchPage.s('u'), words.s(), links.s());
  // @ts-expect-error a callback receives the result, which is a number
  add.s(1, 2).link(words.s());

  const pair = group([words.s(), links.s(2)]);
  is<Signature<[url: string], string>>()(chain(fetchPage.s(), pair, report.s()));
  is<GroupResult<number[]>>()(await group([1, 2].map((n) => add.s(n, n))).delay());
  is<Signature<[], number>>()(chord([add.s(1, 1), add.s(2, 2)], total.s()));
  // @ts-expect-error the header yields strings
  chord([fetchPage.s('a').pipe(links.s())], total.s());
  // @ts-expect-error the order of the header is the order of the tuple
  chain(fetchPage.s(), group([links.s(2), words.s()]), report.s());
  // @ts-expect-error no argument list suits both members
  await group([add.s(1), add.s(1, 2)]).delay();

  const sums = await group([1, 2, 3].map((n) => add.s(n, n))).delay();
  for await (const [index, value] of sums) {
    is<number>()(index);
    is<number>()(value);
  }

  is<Signature<[number], number>>()(chain([1, 2].map((n) => add.s(n))));
  // @ts-expect-error of a chain of any length, each step takes what it yields
  chain([words.s(), words.s()]);
  const members = new Set([add.s(1, 1), add.s(2, 2)]);
  is<GroupResult<number[]>>()(await group(members).delay());
  is<Signature<[], number>>()(chord(members.values(), total.s()));
  async function* later() {
    yield add.s(1);
  }
  is<GroupResult<number[]>>()(await (await group(later())).delay(2));
  is<Signature<[number], number>>()(await chord(later(), total.s()));
  is<Signature<[number], number>>()(await chain(later()));
  is<number>()(await (await add.s(1).elect(2)).get());
  // @ts-expect-error an argument is missing
  await add.s(1).elect();
  is<number>()(await add.s(1).run(2));
  is<AsyncResult<number>>()(await add.s(1).apply(2));

  const pairs: [number, number][] = [];
  is<Signature<unknown[], number[][]>>()(add.chunks(pairs, 10));
  chain(add.starmap(pairs), total.s());
}
