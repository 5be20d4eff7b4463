import { NotSupported } from '../errors.ts';
import type { ResultTuple } from '../protocol/result.ts';
import type { BackendCapabilities, ResultBackend, ResultRecord, ResultWatch } from './backend.ts';

/*
 * No result backend: workers store nothing, asking for a result is an error that says so.
 * Source: celery.backends.base.DisabledBackend.
 */

const CAPABILITIES: BackendCapabilities = {
  push: false,
  expiry: 'none',
  chord: 'none',
  persistent: false,
  shared: false,
};

function refuse(): never {
  throw new NotSupported(
    'no result backend is configured: set `resultBackend` (for example "redis://…") to read results, or call with `ignoreResult: true`',
  );
}

class DisabledBackend implements ResultBackend {
  readonly name = 'disabled';
  readonly displayUrl = 'disabled://';
  readonly capabilities: BackendCapabilities = CAPABILITIES;

  async store(): Promise<void> {}
  async load(): Promise<ResultRecord | undefined> {
    return refuse();
  }
  async loadMany(): Promise<(ResultRecord | undefined)[]> {
    return refuse();
  }
  watch(): ResultWatch {
    return refuse();
  }
  async forget(): Promise<void> {}
  async saveGroup(): Promise<void> {
    refuse();
  }
  async loadGroup(): Promise<ResultTuple | undefined> {
    return refuse();
  }
  async deleteGroup(): Promise<void> {}
  async cleanup(): Promise<number> {
    return 0;
  }
  async close(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

export function createBackend(): ResultBackend {
  return new DisabledBackend();
}
