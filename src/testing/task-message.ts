import type { Message, MessageProperties } from '../protocol/message.ts';
import { argsRepr, kwargsRepr } from '../protocol/safe-repr.ts';
import type { Embed, TaskHeaders } from '../protocol/task-message.ts';
import { encodeTaskV1 } from '../protocol/v1.ts';
import { encodeTaskV2, NO_EMBED } from '../protocol/v2.ts';
import { systemRandom } from '../runtime/random.ts';
import { createSerializers } from '../serializers/registry.ts';

export interface TaskMessageOptions {
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  /** @default a new UUID */
  readonly id?: string;
  readonly embed?: Partial<Embed>;
  /** Headers in place of the usual ones, and further ones. */
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly properties?: MessageProperties;
  /** @default 'json' */
  readonly serializer?: string;
  /** 1 puts everything into the body, as Celery 3 did. @default 2 */
  readonly protocol?: 1 | 2;
}

/**
 * A task message as it is on the wire, to publish on a channel or to feed to a decoder.
 * Source: `celery.contrib.testing.mocks.TaskMessage`, `TaskMessage1`.
 */
export function taskMessage(task: string, options: TaskMessageOptions = {}): Message {
  const { args = [], kwargs = {}, id = systemRandom().uuid(), embed, properties = {}, protocol = 2 } = options;
  const headers: TaskHeaders = {
    lang: 'js',
    task,
    id,
    shadow: null,
    eta: null,
    expires: null,
    group: null,
    group_index: null,
    retries: 0,
    timelimit: [null, null],
    root_id: id,
    parent_id: null,
    argsrepr: argsRepr(args),
    kwargsrepr: kwargsRepr(kwargs),
    origin: 'test@localhost',
    ignore_result: false,
    replaced_task_nesting: 0,
    stamped_headers: null,
    stamps: {},
    ...options.headers,
  };
  const serializers = createSerializers();
  const encode = protocol === 1 ? encodeTaskV1 : encodeTaskV2;
  return encode(
    headers,
    { args, kwargs, embed: { ...NO_EMBED, ...embed } },
    (value) => serializers.encode(value, options.serializer ?? 'json'),
    { deliveryMode: 2, ...properties },
  );
}
