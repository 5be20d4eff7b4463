import type { Celery } from '../app/celery.ts';
import { OperationalError } from '../errors.ts';
import { withDeadline } from '../runtime/clock.ts';
import { durationMs, type Duration } from '../runtime/duration.ts';

export interface QueueDepthOptions {
  /** @default the queues that a worker of this app consumes */
  readonly queues?: readonly string[];
  /** @default '10s' */
  readonly timeout?: Duration;
}

/**
 * Messages that wait in each queue, asked from the broker: works with no worker running. Priority lists are added up;
 * what workers have fetched already is not counted, and a queue that does not exist has 0.
 * @throws {OperationalError} when the broker is out of reach or does not answer in time
 */
export async function queueDepths(app: Celery, options: QueueDepthOptions = {}): Promise<Record<string, number>> {
  const names = options.queues ?? app.queues.consumed.map(({ name }) => name);
  const timeoutMs = durationMs(options.timeout ?? '10s');
  const transport = await app.transport();
  const abort = new AbortController();
  const asking = (async () => {
    await using connection = await transport.connect({ signal: abort.signal });
    const channel = await connection.channel();
    const sizes = await Promise.all(names.map((name) => channel.size(name)));
    return Object.fromEntries(names.map((name, at) => [name, sizes[at] as number]));
  })();
  return withDeadline(app.clock, timeoutMs, asking, () => {
    const error = new OperationalError(`the broker did not tell queue lengths within ${timeoutMs / 1000} s`, {
      recoverable: true,
    });
    abort.abort(error);
    return error;
  });
}
