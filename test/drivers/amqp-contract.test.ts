import { afterAll, beforeAll, describe, test } from 'vitest';
import { transportContract } from '../../src/testing/transport-contract.ts';
import { createTransport } from '../../src/transports/amqp/index.ts';
import { missing } from '../support/available.ts';
import { startRabbit, type RabbitServer } from '../support/rabbitmq.ts';
import { context } from './redis-support.ts';

const reason = missing('rabbitmq');

const VARIANTS: [string, Record<string, unknown>][] = [
  ['amqp', {}],
  ['amqp with delayed delivery', { native_delayed_delivery: true, native_delayed_delivery_queue_type: 'classic' }],
];

describe.skipIf(reason !== undefined)(`RabbitMQ${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let server: RabbitServer;
  beforeAll(async () => {
    server = await startRabbit();
  });
  afterAll(() => server?.stop());

  for (const [name, options] of VARIANTS) {
    let url: string | undefined;
    transportContract({ describe, test }, name, async () => {
      url ??= await server.vhost();
      const open = () => createTransport(url as string, options, context());
      return { transport: open(), second: open(), dispose: async () => {} };
    });
  }
});
