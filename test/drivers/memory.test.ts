import { describe, test } from 'vitest';
import { createBackend } from '../../src/backends/memory.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { backendContract } from '../../src/testing/backend-contract.ts';
import { transportContract } from '../../src/testing/transport-contract.ts';
import { createTransport } from '../../src/transports/memory.ts';

const context = { clock: systemClock, random: systemRandom(), log: silentLogger };
const nothing = async (): Promise<void> => {};

transportContract({ describe, test }, 'memory', async () => ({
  transport: createTransport('memory://', {}, context),
  dispose: nothing,
}));

backendContract({ describe, test }, 'memory', async () => ({
  backend: createBackend('memory://', { expiresMs: null, transportOptions: {} }, context),
  dispose: nothing,
}));
