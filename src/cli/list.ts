import type { Command } from 'commander';
import type { Binding } from '../messaging/entity.ts';
import { openLink } from './broker-link.ts';
import { CommandError, EXIT } from './exit.ts';
import { rabbitmqBindings } from './rabbitmq-api.ts';
import type { Session } from './session.ts';

interface ListFlags {
  readonly managementUrl?: string;
  readonly json?: boolean;
}

/** `celeriac list bindings`: which messages reach which queue. */
export function addList(program: Command, session: Session): void {
  program
    .command('list')
    .description('list what the broker knows')
    .command('bindings')
    .description('queues, the exchanges they are bound to, and by which routing keys')
    .option('--management-url <url>', "RabbitMQ's management API (default: http, port 15672 of the broker's host)")
    .option('-j, --json', 'one line of JSON')
    .action(async (flags: ListFlags) => {
      const bindings = [...(await find(session, flags))].sort((a, b) =>
        [a.queue, a.exchange, a.routingKey].join('\0') < [b.queue, b.exchange, b.routingKey].join('\0') ? -1 : 1,
      );
      if (flags.json) {
        return session.json(
          bindings.map(({ queue, exchange, routingKey }) => ({ queue, exchange, routing_key: routingKey })),
        );
      }
      const row = (a: string, b: string, c: string): void =>
        session.print(`${a.padEnd(28)} ${b.padEnd(28)} ${c}`.trimEnd());
      row('Queue', 'Exchange', 'Routing Key');
      row('-'.repeat(16), '-'.repeat(16), '-'.repeat(16));
      for (const { queue, exchange, routingKey } of bindings) row(queue, exchange, routingKey);
    });
}

async function find(session: Session, flags: ListFlags): Promise<readonly Binding[]> {
  const app = await session.app();
  const transport = await app.transport();
  if (transport.name === 'amqp') return rabbitmqBindings(app, transport.info, flags.managementUrl);
  await using link = await openLink(app, transport);
  if (link.channel.bindings !== undefined) return await link.channel.bindings();
  throw new CommandError(`the ${transport.name} transport cannot list bindings`, { exitCode: EXIT.unavailable });
}
