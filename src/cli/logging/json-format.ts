import { CeleryError } from '../../errors.ts';
import { maskSecrets } from '../mask.ts';
import { isSecretName, MASK } from './secrets.ts';
import type { Format } from './text-format.ts';

function describeError(error: Error): Readonly<Record<string, unknown>> {
  return {
    type: error.name,
    message: maskSecrets(error.message),
    ...(CeleryError.is(error) && { code: error.code }),
    ...(error.stack !== undefined && { stack: maskSecrets(error.stack) }),
    ...(error.cause instanceof Error && { cause: describeError(error.cause) }),
  };
}

/** What JSON cannot hold as it is; anything secret-looking is masked on the way. */
function replace(key: string, value: unknown): unknown {
  if (isSecretName(key) && value !== null && value !== undefined) return MASK;
  if (typeof value === 'string') return maskSecrets(value);
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Error) return describeError(value);
  if (value instanceof Set) return [...value];
  if (value instanceof Map) return Object.fromEntries(value);
  return value;
}

/** One object a line: `time` (ISO 8601), `level`, `message`, then the fields. */
export const jsonFormat: Format = ({ time, level, fields, message }) => {
  const head = { time: new Date(time).toISOString(), level, message };
  try {
    return `${JSON.stringify({ ...head, ...fields, ...head }, replace)}\n`;
  } catch (error) {
    // Circular fields: the line is worth more than they are.
    return `${JSON.stringify({ ...head, fieldsError: (error as Error).message })}\n`;
  }
};
