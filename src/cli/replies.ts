import { Option, type Command } from 'commander';
import { isControlError } from '../app/inspect.ts';
import { CommandError, EXIT } from './exit.ts';
import { names, seconds } from './options.ts';
import type { Session } from './session.ts';

/*
 * What `inspect`, `control` and `status` share: whom to ask, how long to wait, how answers look.
 */

export interface ReplyOptions {
  /** Seconds. */
  readonly timeout: number;
  readonly destination?: readonly string[];
  readonly json?: boolean;
}

export function addReplyOptions(command: Command): Command {
  return command
    .addOption(
      new Option('-t, --timeout <seconds>', 'longest silence to wait for').argParser(seconds).default(1, '1.0'),
    )
    .addOption(new Option('-d, --destination <nodes>', 'only these workers: a@host,b@host').argParser(names))
    .option('-j, --json', 'one line of JSON');
}

/** Ends the command with code 69. */
export function nobodyAnswered(): CommandError {
  return new CommandError('No nodes replied within time constraint', {
    exitCode: EXIT.unavailable,
    hint: 'No worker is running on this broker, or none answered in time: try --timeout 5',
  });
}

export function nodesOnline(count: number): string {
  return `\n${count} ${count === 1 ? 'node' : 'nodes'} online.`;
}

function indent(text: string, by = '    '): string {
  return text.replace(/^/gm, by);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, sorted(one)]),
  );
}

function pretty(value: unknown): string {
  if (typeof value === 'string') return value;
  return JSON.stringify(sorted(value), (_key, one: unknown) => (typeof one === 'bigint' ? String(one) : one), 4) ?? '';
}

function body(value: unknown): string {
  if (!Array.isArray(value)) return pretty(value);
  if (value.length === 0) return '- empty -';
  return value.map((item) => `* ${indent(pretty(item), '  ').slice(2)}`).join('\n');
}

/** `->  node: OK` and its answer below, as `celery inspect` prints it. */
export function printReply(session: Session, node: string, value: unknown): void {
  const { paint } = session;
  const failed = isControlError(value);
  session.print(`->  ${paint.name(node)}: ${failed ? paint.bad('ERROR') : paint.good('OK')}`);
  if (failed) return session.print(indent(value.error));
  const { ok } = (value ?? {}) as { readonly ok?: unknown };
  const text = body(ok !== undefined && Object.keys(value as object).length === 1 ? ok : value);
  if (text !== '') session.print(indent(text));
}
