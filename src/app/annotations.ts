import { ImproperlyConfigured } from '../errors.ts';
import type { TaskOptions } from './task-options.ts';

/** Task name, or `*` for every task, to the options that are changed. */
export type AnnotationTable = Readonly<Record<string, Partial<TaskOptions>>>;

/** Setting `taskAnnotations`: a table, a function of the task's name, or a list of them of which the first that answers counts. */
export type TaskAnnotations = AnnotationTable | Annotate | readonly (AnnotationTable | Annotate)[];
export type Annotate = (taskName: string) => Partial<TaskOptions> | null | undefined;

const isTable = (value: unknown): value is AnnotationTable =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every((options) => typeof options === 'object' && options !== null);

/** @throws {ImproperlyConfigured} when the value is nothing that `annotationsFor` understands */
export function checkAnnotations(value: unknown): TaskAnnotations {
  for (const one of Array.isArray(value) ? (value as unknown[]) : [value]) {
    if (typeof one !== 'function' && !isTable(one)) {
      throw new ImproperlyConfigured(
        'setting "taskAnnotations": expected { "task name or *": { option: value } }, a function, or a list of these',
      );
    }
  }
  return value as TaskAnnotations;
}

const camel = (options: Partial<TaskOptions>): Partial<TaskOptions> =>
  Object.fromEntries(
    Object.entries(options).map(([key, value]) => [key.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase()), value]),
  );

/**
 * What the annotations change about one task; keys may be written in snake_case.
 * Source: `resolve_all` of celery.app.annotations. Differs: an entry for the task wins over `*`; in Celery `*` is
 * applied last and so undoes the more exact entry.
 */
export function annotationsFor(annotations: TaskAnnotations | null, taskName: string): Partial<TaskOptions> {
  const list = annotations === null ? [] : Array.isArray(annotations) ? annotations : [annotations];
  let any: Partial<TaskOptions> | undefined;
  let own: Partial<TaskOptions> | undefined;
  for (const one of list as readonly (AnnotationTable | Annotate)[]) {
    if (typeof one === 'function') own ??= one(taskName) ?? undefined;
    else {
      any ??= Object.hasOwn(one, '*') ? one['*'] : undefined;
      own ??= Object.hasOwn(one, taskName) ? one[taskName] : undefined;
    }
  }
  return { ...camel(any ?? {}), ...camel(own ?? {}) };
}
