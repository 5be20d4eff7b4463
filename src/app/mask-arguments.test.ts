import { expect, test } from 'vitest';
import { Celery, type CeleryOptions } from '../index.ts';
import { recordSent } from '../testing/sent.ts';
import { ArgumentMask } from './mask-arguments.ts';

/** What the headers say of a call, and what the body holds. */
async function described(settings: CeleryOptions, args: unknown[], kwargs: Record<string, unknown>) {
  await using app = new Celery({ broker: 'memory://', backend: 'memory://', env: {}, ...settings });
  app.task('login', { params: ['user', 'password'] }, () => true);
  using sent = recordSent(app);
  await app.send('login', args, { kwargs });
  const [one] = sent.all;
  return { args: one?.headers['argsrepr'], kwargs: one?.headers['kwargsrepr'], body: [one?.args, one?.kwargs] };
}

test('secrets stay in the body: positions by their parameter, keywords and fields by their name', async () => {
  const kwargs = { user: 'ann', options: { apiKey: 'k-1', retries: 3 }, 'X-Auth-Token': 't-1' };
  expect(await described({}, ['ann', 'hunter2'], kwargs)).toEqual({
    args: "('ann', '********')",
    kwargs: "{'user': 'ann', 'options': {'apiKey': '********', 'retries': 3}, 'X-Auth-Token': '********'}",
    body: [['ann', 'hunter2'], kwargs],
  });
});

test("the preset of Celery's defaults shows everything; names of your own hide others", async () => {
  const all = await described({ preset: 'celery' }, ['ann', 'hunter2'], {});
  expect(all.args).toBe("('ann', 'hunter2')");
  const own = await described({ maskedArguments: ['user'] }, ['ann', 'hunter2'], {});
  expect(own.args).toBe("('********', 'hunter2')");
  expect((await described({ maskedArguments: null }, ['ann', 'hunter2'], {})).args).toContain('hunter2');
});

test('nothing to hide: the very same values, whatever they are', () => {
  const mask = new ArgumentMask(['secret']);
  const args = [1, null, 'secret', new Date(0), new Map([['secret', 1]]), [[{ a: [{ b: { secret: 1 } }] }]]];
  expect(mask.args(args, null)).toBe(args);
  expect(mask.args([[{ a: { secret: 1 } }]], null)).toEqual([[{ a: { secret: '********' } }]]);
  const kwargs = { a: { b: 1 } };
  expect(mask.kwargs(kwargs)).toBe(kwargs);
});
