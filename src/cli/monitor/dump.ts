import { escapeControls } from './screen.ts';

const WORDS: Readonly<Record<string, string>> = {
  'worker-offline': 'shutdown',
  'worker-online': 'started',
  'worker-heartbeat': 'heartbeat',
};
const MOST_NAMES = 4095;

/** One line for each event, as `celery events --dump` writes it. Source: celery.events.dumper. */
export class Dumper {
  /** Task id → what it was called with; the oldest is forgotten first. */
  readonly #tasks = new Map<string, string>();

  line(event: Readonly<Record<string, unknown>>): string {
    const { type: given, timestamp, hostname, ...rest }: Record<string, unknown> = event;
    const type = String(given).toLowerCase();
    const words = WORDS[type] ?? type.replaceAll('-', ' ');
    const time = new Date(Number(timestamp) * 1000).toISOString().replace('T', ' ').replace('Z', '+00:00');
    let task = '';
    if (type.startsWith('task-')) {
      task = this.#task(type, rest);
      for (const key of [
        'uuid',
        ...(type === 'task-received' || type === 'task-sent' ? ['name', 'args', 'kwargs'] : []),
      ])
        delete rest[key];
    }
    const fields = Object.keys(rest)
      .sort()
      .map((key) => `${key}=${shown(rest[key])}`)
      .join(', ');
    const tail = type.startsWith('task-') ? `${task} ${fields}` : fields;
    return escapeControls(`${String(hostname)} [${time}] ${words}${fields === '' ? '' : ':'} ${tail}`.trimEnd());
  }

  #task(type: string, fields: Readonly<Record<string, unknown>>): string {
    const uuid = String(fields['uuid']);
    if (type !== 'task-received' && type !== 'task-sent') return this.#tasks.get(uuid) ?? '';
    const { name, args, kwargs } = fields;
    const text = `${shown(name)}(${uuid}) args=${shown(args)} kwargs=${shown(kwargs)}`;
    this.#tasks.delete(uuid);
    this.#tasks.set(uuid, text);
    if (this.#tasks.size > MOST_NAMES) this.#tasks.delete(this.#tasks.keys().next().value as string);
    return text;
  }
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'None');
}
