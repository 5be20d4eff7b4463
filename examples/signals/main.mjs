// What happens around tasks, told to handlers; and hooks that belong to one task alone.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const app = new Celery({ broker: 'memory://', backend: 'memory://' });
const told = [];
const fail = app.task(
  'math.divide',
  { hooks: { onFailure: (error) => void told.push(`hook: ${error.message}`) } },
  (x, y) => {
    if (y === 0) throw new RangeError('by zero');
    return x / y;
  },
);
app.on('beforePublish', ({ headers }) => void (headers.tenant = 'acme'));
app.on('taskPrerun', ({ request }) => void told.push(`begins for ${String(request.headers.tenant)}`));
app.on('taskFailure', ({ error }) => void told.push(`failed: ${error.message}`), { sender: 'math.divide' });
app.on('taskSuccess', ({ result }) => void told.push(`result: ${String(result)}`));
app.on('workerReady', ({ sender }) => void told.push(`ready: ${sender}`));

const worker = new Worker(app, { hostname: 'w1@example' });
await worker.start();
await (await fail.delay(6, 3)).get({ timeout: '10s' });
await (await fail.delay(6, 0)).get({ timeout: '10s' }).catch(() => undefined);
await worker.stop();
await app.close();
console.log(told.join('\n'));
const whole = ['ready: w1@example', 'begins for acme', 'result: 2', 'failed: by zero', 'hook: by zero'];
process.exitCode = whole.every((line) => told.includes(line)) ? 0 : 1;
