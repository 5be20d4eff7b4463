/*
 * A process that holds messages: `tsx redis-holder.ts URL QUEUE OPTIONS [MOST]`.
 * With BREAKPOINT in the environment it dies as soon as bytes with that text come from the server, before anybody reads them.
 * Says `got <text>` for each; on a line of input it says whether it still holds them, acknowledges, and says `acked`.
 */
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Delivery } from '../../src/transports/transport.ts';
import { queue, text, transport } from './redis-support.ts';

const [url = '', name = '', options = '{}', most = '100'] = process.argv.slice(2);

const breakpoint = process.env['BREAKPOINT'];
if (breakpoint !== undefined) {
  const push = Socket.prototype.push;
  Socket.prototype.push = function (this: Socket, chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (chunk?.includes(breakpoint) === true) process.kill(process.pid, 'SIGKILL');
    return push.call(this, chunk, encoding);
  };
}

async function main(): Promise<void> {
  const connection = await transport(url, JSON.parse(options) as Record<string, unknown>).connect();
  const channel = await connection.channel();
  const held: Delivery[] = [];
  await channel.consume(
    queue(name),
    (delivery) => {
      held.push(delivery);
      console.log(`got ${text(delivery)}`);
    },
    { prefetch: Number(most) },
  );
  for await (const _ of createInterface({ input: process.stdin })) {
    for (const delivery of held) console.log(`held ${await delivery.held()}`);
    await Promise.all(held.map((delivery) => delivery.ack()));
    console.log('acked');
  }
}

void main();
