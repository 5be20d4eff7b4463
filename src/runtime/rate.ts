const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

/**
 * `'10/m'`, `'0.5/s'`, `'100/h'` or a number per second, as tokens per second; 0: no limit.
 * @throws {RangeError} for anything else
 */
export function parseRate(limit: string | number | null | undefined): number {
  if (limit === null || limit === undefined || limit === '') return 0;
  const match = /^\s*(\d+(?:\.\d+)?)\s*(?:\/\s*([smh]))?\s*$/.exec(String(limit));
  if (!match) throw new RangeError(`expected a rate such as '10/s', '5/m' or '100/h', got ${JSON.stringify(limit)}`);
  return Number(match[1]) / (UNIT_SECONDS[match[2] ?? 's'] as number);
}
