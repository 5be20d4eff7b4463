const SECRET_NAME = /passw(or)?d|secret|token|api_?key|authorization|credential/i;

/** What stands in the place of a secret. */
export const MASK = '********';

/** Whether the value of a field with this name is nothing to be shown. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

const DEEPEST = 4;

/** The value without what is secret by its name, as deep as it is shown. */
export function withoutSecrets(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || depth >= DEEPEST) return value;
  if (Array.isArray(value)) return value.map((one) => withoutSecrets(one, depth + 1));
  if (Object.getPrototypeOf(value) !== Object.prototype && Object.getPrototypeOf(value) !== null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, isSecretName(name) ? MASK : withoutSecrets(one, depth + 1)]),
  );
}
