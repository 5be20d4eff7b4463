// The library logs through any logger like pino; what a task logs has its id.
import { Celery } from 'celeriac';
import { Worker } from 'celeriac/worker';

const lines = [];
/** A logger of one page: fields first, then the message. */
const logger = (bound = {}) => {
  const at = (level) => (fields, message) => void lines.push({ level, message, ...bound, ...fields });
  const levels = ['debug', 'info', 'warn', 'error', 'fatal'].map((level) => [level, at(level)]);
  return { ...Object.fromEntries(levels), child: (more) => logger({ ...bound, ...more }) };
};

const app = new Celery({ broker: 'memory://', backend: 'memory://', log: logger() });
const bake = app.task('bread.bake', { bind: true }, (ctx, loaves) => {
  ctx.log.info({ loaves }, 'in the oven');
  return loaves;
});
const worker = new Worker(app, { hostname: 'w1@example' });
await worker.start();
const result = await bake.delay(12);
await result.get({ timeout: '10s' });
await worker.stop();
await app.close();
for (const { level, message, taskId } of lines) if (level !== 'debug') console.log(level, message, taskId ?? '');
const own = lines.find(({ message }) => message === 'in the oven');
process.exitCode = own?.taskId === result.id && own.loaves === 12 ? 0 : 1;
