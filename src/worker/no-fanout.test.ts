import { expect, test } from 'vitest';
import { Celery, NotSupported } from '../index.ts';
import { systemClock } from '../runtime/clock.ts';
import { silentLogger, type Logger } from '../runtime/logger.ts';
import { systemRandom } from '../runtime/random.ts';
import { createTransport } from '../transports/memory.ts';
import type { Transport } from '../transports/transport.ts';
import { Worker } from './worker.ts';

/** A broker that gives each message to one reader only, as SQS does. */
function oneReader(): Transport {
  const inner = createTransport('memory://', {}, { clock: systemClock, random: systemRandom(), log: silentLogger });
  return Object.assign(inner, { capabilities: { ...inner.capabilities, fanout: false } });
}

test('where a broker does not reach every worker, tasks run and everything else says what is missing', async () => {
  const warned: string[] = [];
  const log: Logger = { ...silentLogger, warn: (_, message) => void warned.push(message), child: () => log };
  await using app = new Celery({ broker: oneReader(), backend: 'memory://', env: {}, log });
  app.task('add', (x: number, y: number) => x + y);
  await using worker = new Worker(app, { hostname: 'w@alone', taskEvents: true });
  await worker.start();
  expect(warned).toEqual([expect.stringContaining('does not reach every worker: no remote control')]);
  expect(await (await app.send('add', [1, 2])).get({ timeout: '10s' })).toBe(3);
  await expect(app.control.ping()).rejects.toThrow(NotSupported);
  await expect(app.control.inspect().stats()).rejects.toThrow(/fan-out.*memory/);
  await expect(app.control.revoke('some-id')).rejects.toThrow(NotSupported);
});
