/* Chords: members that fail, members that join later, lists in one message, and headers from a generator. */
import { Celery, chord, group } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const square = app.task('square', (n) => n * n);
const total = app.task('total', (values) => values.reduce((sum, one) => sum + one, 0));
const broken = app.task('broken', () => {
  throw new RangeError('no such page');
});
const more = app.task('more', { bind: true }, async (ctx, n) => {
  await ctx.addToChord(square.s(n));
  return n;
});
const told = [];
const failed = app.task('failed', (id) => void told.push(id));

const worker = new Worker(app);
await worker.start();

const grown = await chord([more.s(2), more.s(3)], total.s()).run();
console.log('2 + 3 and the squares that joined:', grown);

const result = await chord([square.s(1), broken.s()], total.s().linkError(failed.s())).delay();
const error = await result.get({ timeout: '10s', propagate: false });
console.log(`${error.name}: ${error.message}`);

function* header() {
  for (let n = 1; n <= 3; n++) yield square.s(n);
}
const generated = await chord(header(), total.s()).run();
const mapped = await square.map([1, 2, 3]).run();
const chunks = await square.chunks([[1], [2], [3]], 2).run();
console.log('from a generator:', generated, 'in one message:', mapped, 'in two:', chunks);

const sent = await group([square.s(5), square.s(6)]).delay();
await sent.save();
const restored = await app.restoreGroup(sent.id);
console.log('a group that was saved:', await restored.get({ timeout: '10s' }));

await worker.stop();
await app.close();
process.exitCode = grown === 18 && generated === 14 && told[0] === result.id ? 0 : 1;
