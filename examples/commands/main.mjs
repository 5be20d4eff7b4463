// Remote control with commands of your own; Python's `celery control set_level debug` reaches them too.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
let level = 'info';
app.controlCommand('set_level', { args: { level: 'string' } }, (_worker, args) => {
  level = args.level;
  return { ok: `level is ${level}` };
});
app.inspectCommand('level', {}, ({ hostname }) => ({ hostname, level }));

const worker = new Worker(app, { hostname: 'w1@example' });
await worker.start();
const control = await app.control.broadcast('set_level', { level: 'debug' }, { reply: true, timeout: '1s', limit: 1 });
console.log(JSON.stringify(control));
const stats = await app.control.inspect({ timeout: '1s', limit: 1 }).stats();
console.log('slots:', stats['w1@example'].pool['max-concurrency']);

await worker.stop();
await app.close();
process.exitCode = level === 'debug' ? 0 : 1;
