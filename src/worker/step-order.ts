import { UsageError } from '../errors.ts';
import { nearest } from '../runtime/nearest.ts';

export interface Ordered {
  readonly name: string;
  readonly requires?: readonly string[] | undefined;
}

/**
 * The steps so that each comes after what it requires, and as early as that allows: the first of the list that may goes
 * next.
 * @throws {UsageError} for two of one name, a requirement that nobody has, or steps that require each other
 */
export function inOrder<T extends Ordered>(steps: readonly T[], blueprint: string): T[] {
  const byName = new Map<string, T>();
  for (const step of steps) {
    if (byName.has(step.name)) throw new UsageError(`two steps of the ${blueprint} have the name "${step.name}"`);
    byName.set(step.name, step);
  }
  for (const { name, requires } of steps) {
    for (const one of requires ?? []) if (!byName.has(one)) throw unknown(name, one, byName.keys(), blueprint);
  }
  const done = new Set<string>();
  const waiting = [...steps];
  while (waiting.length > 0) {
    const at = waiting.findIndex(({ requires }) => (requires ?? []).every((name) => done.has(name)));
    if (at < 0) throw circular(waiting, blueprint);
    done.add((waiting.splice(at, 1)[0] as T).name);
  }
  return [...done].map((name) => byName.get(name) as T);
}

/** Each of these waits for another of them: following them comes round. */
function circular(waiting: readonly Ordered[], blueprint: string): UsageError {
  const byName = new Map(waiting.map((step) => [step.name, step]));
  const path: string[] = [];
  let name = (waiting[0] as Ordered).name;
  while (!path.includes(name)) {
    path.push(name);
    name = byName.get(name)?.requires?.find((one) => byName.has(one)) as string;
  }
  const circle = [...path.slice(path.indexOf(name)), name];
  return new UsageError(`steps of the ${blueprint} require each other: ${circle.join(' → ')}`);
}

function unknown(step: string, name: string, known: Iterable<string>, blueprint: string): UsageError {
  const names = [...known];
  const like = nearest(name, names);
  const hint = like === undefined ? `there are ${names.join(', ')}` : `did you mean "${like}"?`;
  return new UsageError(`the step "${step}" requires "${name}", which the ${blueprint} does not have: ${hint}`);
}
