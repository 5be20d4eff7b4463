import { maskUrl } from '../../runtime/mask-url.ts';
import type { CreateTransport, TransportOptions } from '../drivers.ts';
import type { BrokerInfo, Connection, DriverContext, Transport, TransportCapabilities } from '../transport.ts';
import { dial } from './client.ts';
import { AmqpConnection, type TransportState } from './connection.ts';
import { amqpSettings } from './options.ts';
import { parseAmqpUrl, type AmqpAddress } from './url.ts';

/*
 * RabbitMQ and other brokers of AMQP 0-9-1, with the queues, exchanges and messages of kombu's transport.
 *
 * Features   all exchange types; priorities, 9 before 0; confirms; classic, quorum and stream queues;
 *            delayed messages in the broker, with `native_delayed_delivery`
 * Package    amqplib 2
 * Servers    RabbitMQ 3.10 and 4.0 tested
 * URL        amqp://[user:password@]host[:5672][/vhost]   amqps:// (verified)   pyamqp://, librabbitmq:// the same
 * Options    `options.ts`; names as in Celery's broker_transport_options, or in camelCase; durations in seconds
 */

class AmqpTransport implements Transport {
  readonly name = 'amqp';
  readonly displayUrl: string;
  readonly capabilities: TransportCapabilities;
  readonly info: BrokerInfo;
  readonly #address: AmqpAddress;
  readonly #state: TransportState;

  constructor(url: string, options: TransportOptions, context: DriverContext) {
    this.displayUrl = maskUrl(url);
    const ssl = amqpSettings(options).ssl;
    const address = parseAmqpUrl(url, ssl, (name) =>
      context.log.warn({ broker: this.displayUrl, name }, 'a parameter of the AMQP URL means nothing here'),
    );
    const settings = amqpSettings({ ...options, ...address.options });
    this.#address = address;
    this.#state = { settings, context, refusesSharedWindow: false, notesLeft: new Set() };
    this.capabilities = {
      exchanges: 'native',
      priority: 'highest-first',
      fanout: true,
      delay: settings.delayedDelivery === undefined ? 'worker' : 'native',
      persistent: true,
      shared: true,
      deliveryCount: false,
    };
    this.info = {
      hostname: address.host,
      port: address.port,
      virtualHost: address.vhost,
      userid: address.username,
      ssl: address.tls !== undefined,
    };
    if (address.tls?.rejectUnauthorized === false) {
      context.log.warn(
        { broker: this.displayUrl },
        'TLS without checking the certificate: anyone in between can read along',
      );
    }
  }

  /** @throws {OperationalError} with what stood in the way; not recoverable when the user is refused */
  async connect({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<Connection> {
    const { settings, context } = this.#state;
    const link = await dial({ address: this.#address, settings, context, displayUrl: this.displayUrl }, signal);
    const connection = new AmqpConnection(link, this.#state);
    void connection.notes.resume();
    return connection;
  }
}

/** A transport over AMQP 0-9-1. Connects to nothing. */
export const createTransport: CreateTransport = (url, options, context) => new AmqpTransport(url, options, context);
