import { argsRepr } from '../protocol/safe-repr.ts';
import type { SignatureDict } from '../protocol/task-message.ts';
import { bodyOf, headerOf, isChain, isChord, isGroup, tasksOf } from './dict.ts';

/** Characters of a mapped list that are shown. */
const MOST_ITEMS = 100;

/** A signature as Celery shows it: `math.add(2, 2) | mul(3)`, `%math.total([math.add(1, 1)])`. */
export function signatureRepr(dict: SignatureDict): string {
  if (isChain(dict)) {
    const steps = tasksOf(dict);
    return steps.length === 0 ? '<chain: empty>' : shortened(steps[0], steps.map(signatureRepr).join(' | '));
  }
  if (isGroup(dict)) {
    const tasks = tasksOf(dict);
    return tasks.length === 0 ? 'group(<empty>)' : shortened(tasks[0], `group(${listRepr(tasks)})`);
  }
  if (isChord(dict)) return chordRepr(dict);
  const { task, it } = dict.kwargs as { readonly task?: SignatureDict; readonly it?: readonly unknown[] };
  if (dict.task === 'celery.map') return `[${task?.task}(x) for x in ${truncated(inner([it]))}]`;
  if (dict.task === 'celery.starmap') return `[${task?.task}(*x) for x in ${truncated(inner([it]))}]`;
  return call(dict, inner(dict.args));
}

function chordRepr(dict: SignatureDict): string {
  const body = bodyOf(dict);
  const old = dict.kwargs['header'];
  const members = Array.isArray(old) ? listRepr(headerOf(dict)) : signatureRepr(old as SignatureDict);
  if (!isChain(body)) return `%${shortened(body, call(body, joined(members, inner(body.args))))}`;
  const [first, ...rest] = tasksOf(body);
  if (first === undefined) return `<chord without body: ${members}>`;
  const begin = call(first, joined(members, inner(first.args)));
  return shortened(first, `%(${begin} | ${rest.map(signatureRepr).join(' | ')})`);
}

function listRepr(tasks: readonly SignatureDict[]): string {
  return `[${tasks.map(signatureRepr).join(', ')}]`;
}

function call(dict: SignatureDict, args: string): string {
  const kwargs = Object.entries(dict.kwargs).map(([name, value]) => `${name}=${valueRepr(value)}`);
  return `${dict.task}(${[...(args === '' ? [] : [args]), ...kwargs].join(', ')})`;
}

function valueRepr(value: unknown): string {
  if (isSignature(value)) return signatureRepr(value);
  return Array.isArray(value) && value.length > 0 && value.every(isSignature) ? listRepr(value) : inner([value]);
}

function isSignature(value: unknown): value is SignatureDict {
  return typeof value === 'object' && value !== null && 'subtask_type' in value && 'task' in value;
}

function joined(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(', ');
}

/** Values as `repr()` writes them, between commas. */
function inner(values: readonly unknown[]): string {
  const text = argsRepr(values);
  return text.slice(1, text.endsWith(',)') ? -2 : -1);
}

function truncated(text: string): string {
  if (text.length < MOST_ITEMS) return text;
  const cut = text.slice(0, MOST_ITEMS);
  const space = cut.lastIndexOf(' ');
  return `${space < 0 ? cut : cut.slice(0, space)}...`;
}

/** The module's name stays where it is mentioned first. Source: `remove_repeating_from_task`. */
function shortened(first: SignatureDict | undefined, text: string): string {
  const module = `${(first?.task ?? '').split('.').slice(0, -1).join('.')}.`;
  const at = text.indexOf(module);
  if (at < 0) return text;
  const end = at + module.length;
  return text.slice(0, end) + text.slice(end).replaceAll(module, '');
}
