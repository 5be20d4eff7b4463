/** What a contract suite needs of a test runner; Vitest, Jest and node:test (with `expect`) have it. */
export interface Runner {
  describe(name: string, define: () => void): void;
  test(name: string, run: () => Promise<void>): void;
}

/** Thrown by suites when an expectation does not hold. */
export class ContractViolation extends Error {
  override readonly name = 'ContractViolation';
}

/** Compares as JSON does, which is all that contracts compare. */
export function equal(actual: unknown, expected: unknown, what: string): void {
  const [have, want] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (have !== want) throw new ContractViolation(`${what}: expected ${want}, got ${have}`);
}

export function holds(condition: unknown, what: string): asserts condition {
  if (!condition) throw new ContractViolation(what);
}
