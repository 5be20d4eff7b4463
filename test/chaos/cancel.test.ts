import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { SoftTimeLimitExceeded, type CeleryError } from '../../src/index.ts';
import { until } from '../support/until.ts';
import { get, start } from '../pools/support.ts';

/*
 * Why a task is asked to end: each reason arrives in `ctx.signal` where the task runs (users 10). That code which does not
 * listen is ended by force is in test/pools; that a lost connection is a reason, in acks.test.ts.
 */

const folder = mkdtempSync(join(tmpdir(), 'celeriac-cancel-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const file = (): string => join(folder, String(count++));

/** What a task wrote down of the reason it was given. */
async function reasonIn(path: string): Promise<string> {
  const text = await until(
    () => {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return '';
      }
    },
    { message: 'the task tidied up', timeoutMs: 30_000 },
  );
  return String(text).split(' ')[1] ?? '';
}

describe.each(['async', 'thread'])('pool %s', (pool) => {
  test('the soft limit is a reason, and the task may go on to its end', async () => {
    const { app } = await start({ pool, concurrency: 1 });
    const path = file();
    await get(app, 'tidies', [path], { softTimeLimit: '300ms' });
    expect(await reasonIn(path)).toBe(SoftTimeLimitExceeded.name);
  });
});

test('a revocation and a cold stop are reasons; the task of the second is not lost', async () => {
  const { app, worker } = await start({ pool: 'async', concurrency: 2 });
  const revoked = file();
  const handle = await app.send('tidies', [revoked]);
  await until(() => worker.active === 1, { message: 'it runs' });
  await handle.revoke({ terminate: true });
  const code = await handle.get({ timeout: '30s' }).catch((error: unknown) => (error as CeleryError).code);
  expect(code).toBe('ERR_TASK_REVOKED');
  expect(await reasonIn(revoked)).toBe('TaskRevokedError');

  const stopped = file();
  const again = await app.send('tidies', [stopped]);
  await until(() => worker.active === 1, { message: 'it runs' });
  await worker.stop('cold');
  expect(await reasonIn(stopped)).toBe('ShutdownAbort');
  // It ended in the time that a cold stop gives, or its message is back: never neither.
  await using connection = await (await app.transport()).connect();
  const channel = await connection.channel();
  const ended = await until(
    async () => {
      if ((await app.result(again.id).state()) === 'SUCCESS') return 'ended';
      return (await channel.size('celery')) === 1 ? 'back' : undefined;
    },
    { message: 'the task is somewhere', timeoutMs: 30_000 },
  );
  expect(['ended', 'back']).toContain(ended);
});
