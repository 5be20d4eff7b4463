import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { openBackend } from '../../backends/drivers.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLogger } from '../../runtime/logger.ts';
import { systemRandom } from '../../runtime/random.ts';
import { openTransport } from '../drivers.ts';

const context = { clock: systemClock, random: systemRandom(), log: silentLogger };

test.each([
  'redis://:hunter2@host:no-port/0',
  'redis://:hunter2@host/db',
  'redis://:hunter2@host/0?unknown=1',
  'sentinel://:hunter2@host/0',
  'nothing://user:hunter2@host',
  'redis://:hun[ter2@ho st/0',
])('what is wrong with %s is said without its password', async (url) => {
  const secret = /hunter2|ter2/;
  for (const open of [
    () => openTransport(url, {}, context),
    () => openBackend(url, { expiresMs: null, transportOptions: {} }, context),
  ]) {
    const error: unknown = await open().catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(Error);
    expect(inspect(error, { depth: 5, showHidden: true })).not.toMatch(secret);
  }
});
