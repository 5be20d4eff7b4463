// Messages without tasks: a topic exchange, a consumer, and a queue used like a list.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection, exchange, queue } from 'celeriac/messaging';

const folder = mkdtempSync(join(tmpdir(), 'celeriac-messaging-'));
const connection = new Connection(`sqlite:///${join(folder, 'broker.db')}`); // or redis://, amqp://, …

const news = exchange('news', { type: 'topic' });
const sport = queue('sport', { exchange: news, routingKey: 'sport.#' });
const producer = connection.producer({ exchange: news, compression: 'gzip' });
await producer.publish({ score: '3:1' }, { routingKey: 'sport.football', declare: [sport] });
await producer.publish({ degrees: 21 }, { routingKey: 'weather.berlin' }); // no queue asks for it

const consumer = connection.consumer(sport);
const message = await consumer.next('5s');
console.log(message?.deliveryInfo.routingKey, message?.payload);
await message?.ack();

const list = connection.simpleQueue('chores');
await list.put('wash up');
await list.put('sweep');
const first = await list.get({ timeout: '5s' });
console.log('to do:', first.payload, '- and', await list.qsize(), 'more');
await first.ack();

await connection.close();
rmSync(folder, { recursive: true });
process.exitCode = message?.payload.score === '3:1' && first.payload === 'wash up' ? 0 : 1;
