import { ArgumentsError, UsageError } from '../errors.ts';
import type { Arity, Handler } from './task.ts';
import type { SchemaIssue, StandardSchema } from './schema.ts';

/*
 * How arguments reach a handler. JavaScript has positions only, Python callers may use keywords:
 * - `params` names the positions: keywords are put where their name says;
 * - without `params`, a bound task finds keywords in `ctx.request.kwargs`; an unbound one cannot see them and fails.
 */

/** What binding needs to know of a task. */
export interface Parameters {
  readonly name: string;
  readonly bind: boolean;
  readonly params: readonly string[] | null;
}

/** Counts a handler's parameters as far as they can be seen from outside. */
export function arityOf(handler: Handler, bind: boolean, hasSchema: boolean): Arity {
  const context = bind ? 1 : 0;
  if (hasSchema || handler.length < context) return { max: Infinity };
  const head = parameterList(handler);
  // Parameters after one with a default, and rest parameters, are not counted in `length`.
  const open = head === undefined || /[=]|\.\.\./.test(head);
  const length = handler.length - context;
  return { max: open ? Infinity : length };
}

/** The text between a function's outer parentheses; undefined where it has none that can be found. */
function parameterList(handler: Handler): string | undefined {
  const text = Function.prototype.toString.call(handler);
  const bare = /^(?:async\s+)?([\w$]+)\s*=>/.exec(text);
  if (bare !== null) return bare[1];
  const start = text.indexOf('(');
  if (start < 0) return undefined;
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '(') depth++;
    else if (text[at] === ')' && --depth === 0) return text.slice(start + 1, at);
  }
  return undefined;
}

/**
 * Too few arguments cannot be told from optional ones left out: TypeScript's `limit?` leaves no trace.
 * @throws {ArgumentsError} when the handler certainly takes fewer arguments than these
 */
export function checkArity(name: string, arity: Arity, given: number): void {
  if (given <= arity.max) return;
  throw new ArgumentsError(`${name}() takes at most ${arity.max} positional arguments but ${given} were given`);
}

/**
 * The positional arguments for the handler.
 * @throws {ArgumentsError} for keywords that nothing can receive, or that name a position already filled
 */
export function bindArguments(
  task: Parameters,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
): readonly unknown[] {
  const names = Object.keys(kwargs);
  if (names.length === 0) return args;
  if (task.params === null) {
    if (task.bind) return args;
    throw new ArgumentsError(
      `${task.name}() got keyword arguments (${names.join(', ')}) but names no parameters: define it with ` +
        `params: ['first', 'second', …], or with bind: true and read ctx.request.kwargs`,
    );
  }
  const bound: unknown[] = [...args];
  for (const name of names) {
    const at = task.params.indexOf(name);
    if (at < 0) {
      throw new ArgumentsError(
        `${task.name}() got an unexpected keyword argument '${name}': its params are ${task.params.join(', ')}`,
      );
    }
    if (at < args.length) throw new ArgumentsError(`${task.name}() got multiple values for argument '${name}'`);
    while (bound.length < at) bound.push(undefined);
    bound[at] = kwargs[name];
  }
  return bound;
}

/** @throws {ArgumentsError} with every complaint of the schema and where it is */
export async function validateArguments(
  name: string,
  schema: StandardSchema<unknown, unknown>,
  args: readonly unknown[],
): Promise<readonly unknown[]> {
  const { value, issues } = await validated(schema, args);
  if (issues === undefined) return value as readonly unknown[];
  throw new ArgumentsError(
    `${name}() refused its arguments: ${issues.map((one) => issueText(one, 'args')).join('; ')}`,
  );
}

/** @throws {UsageError} with every complaint of the schema and where it is */
export async function validateResult(
  name: string,
  schema: StandardSchema<unknown, unknown>,
  result: unknown,
): Promise<unknown> {
  const { value, issues } = await validated(schema, result);
  if (issues === undefined) return value;
  throw new UsageError(
    `${name}() returned what its schema refuses: ${issues.map((one) => issueText(one, 'result')).join('; ')}`,
  );
}

interface Validated {
  readonly value?: unknown;
  readonly issues?: readonly SchemaIssue[] | undefined;
}

async function validated(schema: StandardSchema<unknown, unknown>, value: unknown): Promise<Validated> {
  return (await schema['~standard'].validate(value)) as Validated;
}

function issueText({ message, path }: SchemaIssue, root: 'args' | 'result'): string {
  if (path === undefined || path.length === 0) return message;
  const keys = path.map((step) => (typeof step === 'object' ? step.key : step));
  const place = keys.map((key, at) =>
    typeof key === 'number' || (at === 0 && root === 'args') ? `[${String(key)}]` : `.${String(key)}`,
  );
  return `${root}${place.join('')}: ${message}`;
}
