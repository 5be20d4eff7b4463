// A schema (zod here; valibot, arktype and others have the same interface) checks arguments and results, and converts them.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';
import { z } from 'zod';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const Order = z.object({ item: z.string(), pieces: z.coerce.number().int().positive() });
const place = app.task(
  'order.place',
  { args: z.tuple([Order]), returns: z.string().startsWith('order') },
  ({ item, pieces }) => `order of ${pieces} ${item}`,
);

const worker = new Worker(app);
await worker.start();
const placed = await (await place.delay({ item: 'cups', pieces: 3 })).get({ timeout: '10s' });
console.log(placed);
const refused = await place
  .delay({ item: 'cups', pieces: -1 })
  .then((result) => result.get({ timeout: '10s' }))
  .catch((error) => error);
console.log(`${refused.code}: ${refused.message}`);

await worker.stop();
await app.close();
process.exitCode = placed === 'order of 3 cups' && refused.message.includes('pieces') ? 0 : 1;
