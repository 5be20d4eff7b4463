import type { Binding, Entity, Exchange, ExchangeType, Queue } from '../../messaging/entity.ts';
import { refuseHeaders } from '../virtual/topic.ts';
import { topicPattern } from './pattern.ts';
import type { KeySpace } from './keys.ts';

/*
 * member    one binding as it stands in the set of its exchange: routing key, pattern and queue with `sep` between them
 *
 * The sets are shared with Python. What was declared on a connection is remembered as well, because the type of an
 * exchange is written nowhere, and because an evicted set can be written again from memory.
 */

export interface SetMember {
  readonly key: string;
  readonly member: string;
}

export class BindingTable {
  readonly #keys: KeySpace;
  readonly #sep: string;
  readonly #types = new Map<string, ExchangeType>();
  /** Exchange → members declared here. */
  readonly #members = new Map<string, Set<string>>();
  /** Queue → exchange and routing key of its fan-out binding. */
  readonly #fanout = new Map<string, { readonly exchange: string; readonly routingKey: string }>();
  readonly #patterns = new Map<string, RegExp>();

  constructor(keys: KeySpace, sep: string) {
    this.#keys = keys;
    this.#sep = sep;
  }

  /** Remembers a declaration; what comes back must be added to the sets. */
  declare(entity: Entity): SetMember[] {
    switch (entity.kind) {
      case 'exchange':
        this.#declare(entity);
        return [];
      case 'binding':
        return [this.#bind(entity)];
      case 'queue':
        if (entity.exchange) this.#declare(entity.exchange);
        for (const { declares } of entity.bindings ?? []) if (declares !== undefined) this.#declare(declares);
        return bindingsOf(entity).map((binding) => this.#bind(binding));
    }
  }

  #declare(exchange: Exchange): void {
    refuseHeaders(exchange);
    this.#types.set(exchange.name, exchange.type);
  }

  #bind({ queue, exchange, routingKey }: Pick<Binding, 'queue' | 'exchange' | 'routingKey'>): SetMember {
    const type = this.type(exchange);
    if (type === 'fanout') this.#fanout.set(queue, { exchange, routingKey });
    const pattern = type === 'topic' ? topicPattern(routingKey) : '';
    const member = [routingKey, pattern, queue].join(this.#sep);
    let members = this.#members.get(exchange);
    if (!members) this.#members.set(exchange, (members = new Set()));
    members.add(member);
    return { key: this.#keys.binding(exchange), member };
  }

  /** Undefined: never declared on this connection. */
  type(exchange: string): ExchangeType | undefined {
    return this.#types.get(exchange);
  }

  /** What the queue receives by fan-out, if it does. */
  fanout(queue: string): { readonly exchange: string; readonly routingKey: string } | undefined {
    return this.#fanout.get(queue);
  }

  /** Forgets the bindings of a queue; what comes back must be removed from the sets. */
  forget(queue: string): SetMember[] {
    const removed: SetMember[] = [];
    for (const [exchange, members] of this.#members) {
      for (const member of members) {
        if (member.split(this.#sep)[2] !== queue) continue;
        members.delete(member);
        removed.push({ key: this.#keys.binding(exchange), member });
      }
    }
    this.#fanout.delete(queue);
    return removed;
  }

  forgetExchange(exchange: string): void {
    for (const member of this.#members.get(exchange) ?? []) this.#fanout.delete(member.split(this.#sep)[2] ?? '');
    this.#members.delete(exchange);
    this.#types.delete(exchange);
  }

  /** One member of the set of an exchange, as it is. */
  read(exchange: string, member: string): Binding {
    const [routingKey = '', , queue = ''] = member.split(this.#sep);
    return { kind: 'binding', exchange, queue, routingKey };
  }

  /** Members of the exchange that were declared here. */
  declared(exchange: string): readonly string[] {
    return [...(this.#members.get(exchange) ?? [])];
  }

  /**
   * Queues that a routing key reaches. An exchange whose type nobody told us is a topic exchange where its bindings
   * have patterns, else a direct one.
   */
  route(exchange: string, members: readonly string[], routingKey: string): string[] {
    const type = this.type(exchange);
    const queues = new Set<string>();
    for (const member of members) {
      const [bound = '', pattern = '', queue = ''] = member.split(this.#sep);
      const topic = type === 'topic' || (type === undefined && pattern !== '');
      if (type === 'fanout' || (topic ? this.#matches(pattern, routingKey) : bound === routingKey)) queues.add(queue);
    }
    queues.delete('');
    return [...queues];
  }

  #matches(pattern: string, routingKey: string): boolean {
    let expression = this.#patterns.get(pattern);
    if (!expression) {
      expression = compile(pattern);
      if (this.#patterns.size > 1000) this.#patterns.clear();
      this.#patterns.set(pattern, expression);
    }
    return expression.test(routingKey);
  }
}

/** Python's `re.match`: anchored at the start only. A pattern that is no expression matches nothing. */
function compile(pattern: string): RegExp {
  try {
    return new RegExp(`^(?:${pattern})`);
  } catch {
    return /$^./;
  }
}

function bindingsOf(queue: Queue): Pick<Binding, 'queue' | 'exchange' | 'routingKey'>[] {
  const own =
    queue.exchange && queue.exchange.name !== ''
      ? [{ queue: queue.name, exchange: queue.exchange.name, routingKey: queue.routingKey }]
      : [];
  return [...own, ...(queue.bindings ?? []).map((binding) => ({ ...binding, queue: queue.name }))];
}
