import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { onStopSignals } from './signals.ts';

function stops(signals: readonly NodeJS.Signals[], env: Record<string, string> = {}): string[] {
  const source = new EventEmitter();
  const seen: string[] = [];
  const undo = onStopSignals({ source, env, stop: (how) => void seen.push(how) });
  for (const signal of signals) source.emit(signal, signal);
  undo();
  undo();
  expect(source.eventNames()).toEqual([]);
  return seen;
}

test.each([
  [['SIGTERM'], ['warm']],
  [['SIGTERM', 'SIGTERM'], ['warm']],
  [['SIGINT'], ['warm']],
  [
    ['SIGINT', 'SIGINT'],
    ['warm', 'cold'],
  ],
  [
    ['SIGINT', 'SIGINT', 'SIGINT'],
    ['warm', 'cold', 'now'],
  ],
  [
    ['SIGTERM', 'SIGINT'],
    ['warm', 'cold'],
  ],
  [['SIGQUIT'], ['cold']],
  [
    ['SIGQUIT', 'SIGTERM'],
    ['cold', 'now'],
  ],
] as const)('%j asks for %j', (signals, expected) => {
  expect(stops(signals)).toEqual(expected);
});

test('REMAP_SIGTERM makes SIGTERM a cold stop', () => {
  expect(stops(['SIGTERM'], { REMAP_SIGTERM: 'SIGQUIT' })).toEqual(['cold']);
});
