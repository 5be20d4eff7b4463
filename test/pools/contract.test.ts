import { fileURLToPath } from 'node:url';
import { describe, test } from 'vitest';
import { createPool } from '../../src/pools/names.ts';
import { poolContract, poolContractApp } from '../../src/testing/pool-contract.ts';

const module = fileURLToPath(new URL('./contract-app.ts', import.meta.url));

for (const name of ['async', 'solo', 'process', 'thread']) {
  poolContract({ describe, test }, name, async () => {
    const app = poolContractApp();
    const pool = createPool(name, app, { concurrency: 2, source: { module }, hostname: 'contract@here' });
    await pool.start?.();
    return { pool, app, dispose: async () => {} };
  });
}
