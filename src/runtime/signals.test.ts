import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { onStopSignals } from './signals.ts';

function stops(signals: readonly NodeJS.Signals[], env: Record<string, string> = {}, soft = false): string[] {
  const source = new EventEmitter();
  const seen: string[] = [];
  const undo = onStopSignals({ source, env, soft, stop: (how) => void seen.push(how) });
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

test.each([
  [['SIGQUIT'], ['soft']],
  [
    ['SIGQUIT', 'SIGTERM', 'SIGINT', 'SIGQUIT'],
    ['soft', 'cold', 'now'],
  ],
  [
    ['SIGTERM', 'SIGQUIT', 'SIGQUIT'],
    ['warm', 'soft', 'cold'],
  ],
  [
    ['SIGINT', 'SIGINT', 'SIGINT', 'SIGINT'],
    ['warm', 'soft', 'cold', 'now'],
  ],
] as const)('with a soft stop %j asks for %j', (signals, expected) => {
  expect(stops(signals, {}, true)).toEqual(expected);
});

test('REMAP_SIGTERM goes through all stages', () => {
  const remapped = { REMAP_SIGTERM: 'SIGQUIT' };
  expect(stops(['SIGTERM', 'SIGTERM', 'SIGTERM'], remapped, true)).toEqual(['soft', 'cold', 'now']);
  expect(stops(['SIGINT', 'SIGTERM', 'SIGTERM'], remapped)).toEqual(['warm', 'cold', 'now']);
});
