// A task that lives elsewhere, in Python perhaps: a name and a type are enough to call it.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

// The other side: another app, which knows nothing of the first one but the broker.
const caller = new Celery({ broker: 'memory://', backend: 'memory://' });
const elsewhere = new Celery({ broker: await caller.transport(), backend: await caller.backend() });
elsewhere.task('ml.score', { params: ['text', 'scale'] }, (text, scale = 1) => text.length * scale);
const worker = new Worker(elsewhere);
await worker.start();

/** @type {import('celeriac').TaskOf<(text: string) => number>} */
const score = caller.remoteTask('ml.score');
const plain = await (await score.delay('abc')).get({ timeout: '10s' });
const keyword = await (await score.applyAsync(['abc'], { kwargs: { scale: 10 } })).get({ timeout: '10s' });
const byName = await (await caller.send('ml.score', ['abcd'])).get({ timeout: '10s' });
console.log(plain, keyword, byName);

await worker.stop();
await caller.close();
process.exitCode = [plain, keyword, byName].join() === '3,30,4' ? 0 : 1;
