import { AssertionError } from 'node:assert';
import { isDeepStrictEqual } from 'node:util';
import type { Celery } from '../app/celery.ts';

/** One task message that an app sent. */
export interface SentTask {
  readonly task: string;
  readonly id: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly exchange: string;
  readonly routingKey: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** What a message must have; what is left out may be anything. Headers are compared one by one. */
export type SentExpectation = Partial<Pick<SentTask, 'args' | 'kwargs' | 'exchange' | 'routingKey'>> & {
  readonly headers?: Readonly<Record<string, unknown>>;
  /** How many such messages. @default at least one */
  readonly times?: number;
};

/** Messages that an app has sent since `recordSent()`. */
export class SentTasks implements Disposable {
  readonly all: SentTask[] = [];
  readonly #disconnect: () => void;

  constructor(app: Celery) {
    this.#disconnect = app.on('afterPublish', ({ sender: task, headers, args, kwargs, exchange, routingKey }) => {
      this.all.push({
        task,
        id: String(headers['id']),
        args,
        kwargs,
        exchange,
        routingKey,
        headers: headers as Readonly<Record<string, unknown>>,
      });
    });
  }

  of(task: string): SentTask[] {
    return this.all.filter((one) => one.task === task);
  }

  matching(task: string, expected: SentExpectation = {}): SentTask[] {
    const { headers = {}, times: _times, ...fields } = expected;
    return this.of(task).filter(
      (one) =>
        Object.entries(fields).every(([name, value]) => isDeepStrictEqual(one[name as keyof SentTask], value)) &&
        Object.entries(headers).every(([name, value]) => isDeepStrictEqual(one.headers[name], value)),
    );
  }

  /** @throws {AssertionError} that shows what was sent instead */
  assertSent(task: string, expected: SentExpectation = {}): void {
    const { length: found } = this.matching(task, expected);
    if (expected.times === undefined ? found > 0 : found === expected.times) return;
    throw new AssertionError({ message: this.#complaint(task, expected, found), operator: 'assertSent' });
  }

  /** @throws {AssertionError} */
  assertNotSent(task: string, expected: SentExpectation = {}): void {
    this.assertSent(task, { ...expected, times: 0 });
  }

  #complaint(task: string, expected: SentExpectation, found: number): string {
    const { times, ...fields } = expected;
    const shown = (value: unknown): string =>
      JSON.stringify(value, (_key, one: unknown) => (typeof one === 'bigint' ? String(one) : one)) ?? '';
    const wanted = `${times ?? 'at least one'} × ${task}${Object.keys(fields).length > 0 ? ` with ${shown(fields)}` : ''}`;
    const sent = this.all.slice(-20).map((one) => `  ${one.task} ${shown({ args: one.args, kwargs: one.kwargs })}`);
    return `expected ${wanted} to be sent, ${found} were. Sent:\n${sent.join('\n') || '  nothing'}`;
  }

  clear(): void {
    this.all.length = 0;
  }

  /** Records no more. */
  [Symbol.dispose](): void {
    this.#disconnect();
  }
}

/** Records every task message the app sends from now on, those of running tasks and retries included. */
export function recordSent(app: Celery): SentTasks {
  return new SentTasks(app);
}

interface MatcherResult {
  readonly pass: boolean;
  readonly message: () => string;
}

/**
 * For `expect.extend()` of Vitest and Jest.
 *
 * @example
 * expect.extend(sentMatchers);
 * expect(recordSent(app)).toHaveSent('mail.send', { args: ['a@b.c'] });
 */
export const sentMatchers: {
  toHaveSent(received: SentTasks, task: string, expected?: SentExpectation): MatcherResult;
} = {
  toHaveSent(received, task, expected) {
    try {
      received.assertSent(task, expected);
      return { pass: true, message: () => `expected ${task} not to be sent` };
    } catch (error) {
      return { pass: false, message: () => (error as Error).message };
    }
  },
};
