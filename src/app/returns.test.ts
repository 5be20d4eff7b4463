import { expect, test } from 'vitest';
import * as z from 'zod';
import { Celery } from './celery.ts';

test('a result is checked and converted before it is stored', async () => {
  const app = new Celery({ broker: 'memory://', backend: 'memory://', env: {} });
  const page = z.object({ url: z.string(), words: z.number().int().default(0) });
  const fetched = app.task(
    'fetched',
    { returns: page },
    (url: string) => ({ url, extra: 'dropped' }) as z.input<typeof page>,
  );
  expect(await (await fetched.apply(['a'])).get()).toEqual({ url: 'a', words: 0 });
  expect(await fetched.run('b')).toEqual({ url: 'b', words: 0 });
  const wrong = app.task('wrong', { returns: page }, () => ({ url: 'a', words: 1.5 }));
  const result = await wrong.apply([]);
  expect(await result.state()).toBe('FAILURE');
  await expect(result.get()).rejects.toThrow('wrong() returned what its schema refuses: result.words: ');
});
