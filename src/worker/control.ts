import { nodeQueue, replyExchange } from '../messaging/pidbox.ts';
import { exchange as exchangeNamed } from '../messaging/entity.ts';
import { decodeControlRequest, encodeControlReply, type ControlRequest } from '../protocol/control.ts';
import { pythonRepr } from '../protocol/exception.ts';
import { stringRepr } from '../protocol/repr.ts';
import type { Connection, Delivery } from '../transports/transport.ts';
import type { CommandScope } from '../app/custom-commands.ts';
import { refusal } from './command-signatures.ts';
import { ALIASES, COMMANDS, type Command, type Commanded } from './control-commands.ts';

/**
 * Server side of remote control: a mailbox on its own channel of the worker's connection.
 * Malformed requests, unknown commands and requests for others never stop it.
 *
 * Source: kombu.pidbox.Node, celery.worker.pidbox. Differs: requests whose `expires` has passed are dropped.
 */
export class ControlServer {
  readonly #worker: Commanded;

  constructor(worker: Commanded) {
    this.#worker = worker;
  }

  /** Receives requests on this connection until it ends. */
  async attach(connection: Connection): Promise<void> {
    const { app, hostname } = this.#worker.parts;
    const channel = await connection.channel();
    await channel.consume(
      nodeQueue(hostname, app.conf.controlExchange, app.conf),
      (delivery) => void this.#receive(delivery),
      {
        prefetch: 0,
        noAck: true,
      },
    );
  }

  async #receive(delivery: Delivery): Promise<void> {
    const { app, log } = this.#worker.parts;
    try {
      const accept = app.serializers.acceptSet(app.conf.acceptContent);
      const request = decodeControlRequest(delivery.message, app.serializers, accept);
      if (request.clock !== undefined) app.lamport.adjust(request.clock);
      const { expires } = delivery.message.headers;
      if (typeof expires === 'number' && expires > 0 && app.clock.now() / 1000 > expires) {
        log.debug({ method: request.method, expires }, 'an expired remote control request was dropped');
        return;
      }
      if (!this.#isForMe(request)) return;
      const value = await this.#execute(request);
      if (value !== undefined && request.replyTo) await this.#reply(request, value);
    } catch (error) {
      log.error({ error }, 'a remote control request could not be handled');
    }
  }

  #isForMe({ destination, pattern, matcher }: ControlRequest): boolean {
    const { hostname } = this.#worker.parts;
    if (destination !== null && destination.length > 0) return destination.includes(hostname);
    if (!pattern || !matcher) return true;
    return (matcher === 'pcre' ? new RegExp(`^(?:${pattern})`) : glob(pattern)).test(hostname);
  }

  async #execute({ method, arguments: args }: ControlRequest): Promise<unknown> {
    const { log } = this.#worker.parts;
    const name = Object.hasOwn(ALIASES, method) ? (ALIASES[method] as string) : method;
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : this.#custom(name);
    if (!command) {
      log.error({ method }, 'no such remote control command');
      return { error: `KeyError(${stringRepr(method)})` };
    }
    const refused = refusal(name, args);
    if (refused !== undefined) {
      log.error({ method, error: refused }, 'remote control command with wrong arguments');
      return { error: refused };
    }
    try {
      const value = await command(this.#worker, args);
      return value;
    } catch (error) {
      log.error({ error, method }, 'remote control command failed');
      return { error: pythonRepr(error) };
    }
  }

  /** A command of the app's own. What it does not return is null, as in Celery. */
  #custom(name: string): Command | undefined {
    const custom = this.#worker.parts.app.commands.get(name);
    return (
      custom &&
      (async (worker, args) => {
        const { executor, held, parts } = worker;
        const idsOf = (requests: Iterable<{ readonly id: string }>): string[] => [...requests].map(({ id }) => id);
        const scope: CommandScope = {
          hostname: parts.hostname,
          get active() {
            return idsOf(executor.running);
          },
          get reserved() {
            return idsOf([...executor.waiting, ...held]);
          },
        };
        return (await custom.run(scope, args)) ?? null;
      })
    );
  }

  async #reply({ replyTo, ticket }: ControlRequest, value: unknown): Promise<void> {
    const { app, hostname } = this.#worker.parts;
    const message = encodeControlReply({ node: hostname, value, ticket, clock: app.lamport.tick() }, (body) =>
      app.serializers.encode(body, app.conf.taskSerializer),
    );
    const to = replyTo as NonNullable<typeof replyTo>;
    const known = replyExchange(app.conf.controlExchange);
    const declared = to.exchange === known.name ? known : exchangeNamed(to.exchange, { durable: false });
    await app.publisher.publishRaw(message, to, { declares: [declared] });
  }
}

/** Shell pattern for a whole name: `*`, `?` and `[...]`. */
function glob(pattern: string): RegExp {
  const text = pattern
    .replace(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
    .replaceAll('[!', '[^');
  return new RegExp(`^${text}$`);
}
