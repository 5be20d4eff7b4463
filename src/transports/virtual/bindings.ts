import { ChannelError } from '../../errors.ts';
import type { Binding, Entity, Exchange, ExchangeType } from '../../messaging/entity.ts';
import type { Message } from '../../protocol/message.ts';
import { routes } from './topic.ts';

/** Exchanges and bindings of a broker that keeps them in memory. */
export class BindingTable {
  readonly #types = new Map<string, ExchangeType>();
  readonly #bindings = new Map<string, Map<string, Binding>>();

  /** The same twice is harmless. @throws {ChannelError} when the exchange exists with another type */
  declare(entity: Entity): void {
    if (entity.kind === 'exchange') return this.#declareExchange(entity);
    if (entity.kind === 'binding') return this.#bind(entity);
    for (const binding of entity.bindings ?? []) {
      if (binding.declares !== undefined) this.#declareExchange(binding.declares);
      this.#bind(binding);
    }
    if (!entity.exchange || entity.exchange.name === '') return;
    this.#declareExchange(entity.exchange);
    const { name, exchange, routingKey, bindingArguments } = entity;
    this.#bind({ kind: 'binding', queue: name, exchange: exchange.name, routingKey, arguments: bindingArguments });
  }

  /** Names of the queues a message reaches. The default exchange reaches the queue named by the routing key. */
  route(exchange: string, routingKey: string, headers: Message['headers']): string[] {
    if (exchange === '') return [routingKey];
    const bindings = this.#bindings.get(exchange);
    return bindings ? routes(bindings.values(), this.#types.get(exchange) ?? 'direct', routingKey, headers) : [];
  }

  removeQueue(queue: string): void {
    for (const bindings of this.#bindings.values()) {
      for (const [key, binding] of bindings) if (binding.queue === queue) bindings.delete(key);
    }
  }

  removeExchange(exchange: string): void {
    this.#types.delete(exchange);
    this.#bindings.delete(exchange);
  }

  all(): Binding[] {
    return [...this.#bindings.values()].flatMap((bindings) => [...bindings.values()]);
  }

  #declareExchange({ name, type }: Exchange): void {
    const present = this.#types.get(name);
    if (present !== undefined && present !== type) {
      throw new ChannelError(`exchange "${name}" exists with type ${present}; it cannot be declared as ${type}`);
    }
    this.#types.set(name, type);
  }

  #bind(binding: Binding): void {
    let bindings = this.#bindings.get(binding.exchange);
    if (!bindings) this.#bindings.set(binding.exchange, (bindings = new Map()));
    const matches = binding.arguments === undefined ? '' : JSON.stringify(binding.arguments);
    bindings.set(`${binding.queue}\0${binding.routingKey}\0${matches}`, binding);
  }
}
