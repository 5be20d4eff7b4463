/** Milliseconds, or a number with its unit: `'30s'`, `'1.5h'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @throws {TypeError} when the text is not a number followed by ms, s, m, h or d */
export function durationMs(duration: Duration): number {
  if (typeof duration === 'number' && Number.isFinite(duration)) return duration;
  const match = /^\s*(-?\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$/.exec(String(duration));
  if (!match) {
    throw new TypeError(
      `expected a duration such as '30s', '5m' or a number of milliseconds, got ${JSON.stringify(duration)}`,
    );
  }
  return Number(match[1]) * (UNIT_MS[match[2] as string] as number);
}
