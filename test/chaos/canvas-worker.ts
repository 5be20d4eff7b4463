import { appendFileSync, openSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { openBackend } from '../../src/backends/drivers.ts';
import { Celery, type TaskContext } from '../../src/index.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { Worker } from '../../src/worker/index.ts';

/*
 * Tasks of chords, as a process to be killed: `node --import tsx canvas-worker.ts '{"url": …}'`. With `dies` it kills
 * itself between counting the last member of a header and sending the body.
 */

export interface CanvasWorkerOptions {
  readonly url: string;
  readonly folder: string;
  readonly name: string;
  readonly queues?: readonly string[];
  readonly dies?: boolean;
  /** See the setting. */
  readonly maxDeliveries?: number;
}

/** The tasks of both processes. Everything that happens is a line in the ledger. */
export function chordTasks(app: Celery, folder: string): void {
  const note = (line: string): void => appendFileSync(`${folder}/ledger`, `${line}\n`);
  app.task(
    'part',
    { bind: true, maxRetries: 5 },
    async (ctx: TaskContext, chord: string, n: number, ms: number = 0) => {
      note(`part ${chord} ${n} ${process.pid}`);
      await wait(10 + (n % 5) * 8 + ms);
      if (n % 20 === 7 && ctx.retries === 0) throw ctx.retry({ countdown: 0 });
      return n;
    },
  );
  app.task('body', (values: readonly number[], chord: string) => {
    note(`body ${chord} ${values.join(',')}`);
    try {
      // The effect is fenced by a file that can be made only once.
      openSync(`${folder}/effect-${chord}`, 'wx');
      note(`effect ${chord}`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    return values.length;
  });
}

/** Of worker processes only: what runs it does not live on. */
function killingTasks(app: Celery, folder: string): void {
  app.task('kills', async (chord: string) => {
    appendFileSync(`${folder}/ledger`, `kills ${chord} ${process.pid}\n`);
    // The other members may end meanwhile.
    await wait(500);
    process.kill(process.pid, 'SIGKILL');
  });
  app.task('errback', (id: string) => appendFileSync(`${folder}/ledger`, `errback ${id}\n`));
}

export async function chordApp({
  url,
  folder,
  dies,
  maxDeliveries = 3,
}: Pick<CanvasWorkerOptions, 'url' | 'folder' | 'dies' | 'maxDeliveries'>): Promise<Celery> {
  const context = { clock: systemClock, random: systemRandom(), log: silentLogger };
  const backend = await openBackend(url, { expiresMs: 3_600_000, transportOptions: {} }, context);
  const { chords } = backend;
  if (dies && chords !== undefined) {
    const add = chords.add.bind(chords);
    chords.add = async (...args) => {
      const members = await add(...args);
      if (Array.isArray(members)) process.kill(process.pid, 'SIGKILL');
      return members;
    };
  }
  const brokerTransportOptions = { visibility_timeout: 5 };
  const app = new Celery({ broker: url, backend, env: {}, brokerTransportOptions, maxDeliveries });
  chordTasks(app, folder);
  return app;
}

const given = process.argv[2];
if (given !== undefined && import.meta.url === `file://${process.argv[1]}`) {
  const options = JSON.parse(given) as CanvasWorkerOptions;
  const app = await chordApp(options);
  killingTasks(app, options.folder);
  const { queues, name } = options;
  const worker = new Worker(app, { hostname: name, concurrency: 8, ...(queues === undefined ? {} : { queues }) });
  await worker.start();
  console.log('ready');
}
