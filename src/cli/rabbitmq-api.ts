import type { Celery } from '../app/celery.ts';
import type { Binding } from '../messaging/entity.ts';
import type { BrokerInfo } from '../transports/transport.ts';
import { CommandError, EXIT } from './exit.ts';

interface ApiBinding {
  readonly source: string;
  readonly destination: string;
  readonly destination_type: string;
  readonly routing_key: string;
}

const TIMEOUT_MS = 10_000;

/** AMQP itself cannot list bindings: RabbitMQ's management plug-in can. */
export async function rabbitmqBindings(app: Celery, info: BrokerInfo, given?: string): Promise<Binding[]> {
  const base = given ?? `http://${info.hostname}:15672`;
  const url = new URL(`/api/bindings/${encodeURIComponent(info.virtualHost)}`, base);
  const { user, password } = credentials(app, url);
  url.username = url.password = '';
  const limit = new AbortController();
  const timer = app.clock.setTimer(TIMEOUT_MS, () => limit.abort(new Error(`no answer within ${TIMEOUT_MS} ms`)));
  try {
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    const response = await fetch(url, { headers: { authorization }, signal: limit.signal });
    if (!response.ok) throw new Error(`it answered ${response.status} ${response.statusText}`);
    return ((await response.json()) as ApiBinding[])
      .filter((one) => one.destination_type === 'queue')
      .map((one) => ({
        kind: 'binding',
        queue: one.destination,
        exchange: one.source,
        routingKey: one.routing_key,
      }));
  } catch (cause) {
    const reason = (cause as { cause?: Error }).cause?.message ?? (cause as Error).message;
    throw new CommandError(`RabbitMQ's management API at ${url.origin} cannot be used: ${reason}`, {
      exitCode: EXIT.unavailable,
      hint: 'Enable it: rabbitmq-plugins enable rabbitmq_management. Elsewhere: --management-url http://host:port',
      cause,
    });
  } finally {
    timer.cancel();
  }
}

function credentials(app: Celery, url: URL): { readonly user: string; readonly password: string } {
  const { brokerReadUrl, brokerUrl } = app.conf;
  const broker = [brokerReadUrl ?? brokerUrl ?? ''].flat()[0] ?? '';
  for (const text of [url.href, broker.split(';')[0] ?? '']) {
    const match = /^[^/]+\/\/([^:@/]*):([^@/]*)@/.exec(text);
    if (match) return { user: decodeURIComponent(match[1] ?? ''), password: decodeURIComponent(match[2] ?? '') };
  }
  return { user: 'guest', password: 'guest' };
}
