import type { ResultBackend } from '../../src/backends/backend.ts';

/** The same store, but it counts no chords: a task has to look for the results of the header. */
export function withoutChords(backend: ResultBackend, name: string = backend.name): ResultBackend {
  return new Proxy(backend, {
    get(target, property): unknown {
      if (property === 'chords') return undefined;
      if (property === 'name') return name;
      if (property === 'capabilities') return { ...target.capabilities, chord: name === 'rpc' ? 'none' : 'unlock' };
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });
}
