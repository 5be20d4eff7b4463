import { ImproperlyConfigured } from '../errors.ts';
import { maskUrl } from '../runtime/mask-url.ts';
import type { ResultCodec } from '../protocol/result.ts';
import type { DriverContext } from '../transports/transport.ts';
import type { ResultBackend } from './backend.ts';

export interface BackendOptions {
  /** `resultExpires` in milliseconds; null keeps results for ever. */
  readonly expiresMs: number | null;
  /** `resultBackendTransportOptions`, and what the driver's own settings say. */
  readonly transportOptions: Readonly<Record<string, unknown>>;
  /** How records are written and read. @default Python's JSON */
  readonly codec?: ResultCodec;
}

export type CreateBackend = (url: string, options: BackendOptions, context: DriverContext) => ResultBackend;

const redis = async (): Promise<CreateBackend> => (await import('./redis.ts')).createBackend;
const disabled = async (): Promise<CreateBackend> => (await import('./disabled.ts')).createBackend;

const DRIVERS: Readonly<Record<string, () => Promise<CreateBackend>>> = {
  memory: async () => (await import('./memory.ts')).createBackend,
  'cache+memory': async () => (await import('./memory.ts')).createBackend,
  sqlite: async () => (await import('./sqlite.ts')).createBackend,
  redis,
  rediss: redis,
  'redis+socket': redis,
  valkey: redis,
  valkeys: redis,
  sentinel: redis,
  disabled,
};

/** Schemes that `resultBackend` accepts. */
export const BACKEND_SCHEMES: readonly string[] = Object.keys(DRIVERS);

/**
 * Finds the driver of a result backend URL. Connects to nothing.
 * @throws {ImproperlyConfigured} when no driver has the scheme, or its client library is not installed
 */
export async function openBackend(
  url: string,
  options: BackendOptions,
  context: DriverContext,
): Promise<ResultBackend> {
  const scheme = /^([a-z][a-z\d+.-]*):/i.exec(url)?.[1]?.toLowerCase() ?? url.toLowerCase();
  const load = DRIVERS[scheme];
  if (!load) {
    throw new ImproperlyConfigured(
      `no result backend for "${maskUrl(url)}": expected one of ${BACKEND_SCHEMES.map((name) => `${name}://`).join(', ')}`,
    );
  }
  return (await load())(url, options, context);
}
