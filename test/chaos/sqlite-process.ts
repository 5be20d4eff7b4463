import { appendFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { queue } from '../../src/messaging/entity.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { createTransport } from '../../src/transports/sqlite/index.ts';

/*
 * A process to be killed: `write` publishes and notes what was confirmed, `work` consumes, notes, then acknowledges.
 * `node --import tsx sqlite-process.ts write|work URL LEDGER PREFIX`
 */

const [mode, url, ledger, prefix] = process.argv.slice(2) as [string, string, string, string];
const context = { clock: systemClock, random: systemRandom(), log: silentLogger };
const connection = await createTransport(url, {}, context).connect();
const channel = await connection.channel();
const to = queue('chaos');
await channel.declare(to);

async function write(): Promise<never> {
  for (let n = 0; ; n += 10) {
    const ids = Array.from({ length: 10 }, (_, i) => `${prefix}-${n + i}`);
    await Promise.all(
      ids.map((id) =>
        channel.publish(
          { body: Buffer.from(id), contentType: 'text/plain', contentEncoding: 'utf-8', headers: {}, properties: {} },
          { exchange: '', routingKey: to.name },
        ),
      ),
    );
    appendFileSync(ledger, ids.map((id) => `confirmed ${id}\n`).join(''));
    await wait(10);
  }
}

async function work(): Promise<void> {
  await channel.consume(
    to,
    (delivery) => {
      appendFileSync(ledger, `ended ${Buffer.from(delivery.message.body).toString()}\n`);
      void delivery.ack();
    },
    { prefetch: 10 },
  );
}

console.log('ready');
if (mode === 'write') await write();
else await work();
