import { describe, test } from 'vitest';
import { createBackend } from '../../src/backends/memory.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { resultCodec } from '../../src/protocol/result.ts';
import { createSerializers } from '../../src/serializers/registry.ts';
import { backendContract } from '../../src/testing/backend-contract.ts';
import { transportContract } from '../../src/testing/transport-contract.ts';
import { createTransport } from '../../src/transports/memory.ts';

const context = { clock: systemClock, random: systemRandom(), log: silentLogger };
const nothing = async (): Promise<void> => {};

transportContract({ describe, test }, 'memory', async () => ({
  transport: createTransport('memory://', {}, context),
  dispose: nothing,
}));

for (const format of ['json', 'msgpack']) {
  backendContract({ describe, test }, `memory, results as ${format}`, async () => {
    const codec = resultCodec(createSerializers(), format, [format]);
    const backend = createBackend('memory://', { expiresMs: null, transportOptions: {}, codec }, context);
    return { backend, dispose: nothing };
  });
}
