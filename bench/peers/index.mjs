// Which queues can be measured here, and how each is started.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const require = createRequire(import.meta.url);

function installed(name) {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

const inNode = (name, package_, file, brokers) => ({
  name,
  brokers,
  run: (options) => ({ command: process.execPath, args: [here(file), JSON.stringify(options)] }),
  /** Prints how long it takes to import it. */
  load: {
    command: process.execPath,
    args: [
      '--input-type=module',
      '-e',
      `const s = performance.now(); await import(${JSON.stringify(package_)}); console.log(JSON.stringify({ ms: performance.now() - s }))`,
    ],
    cwd: here('.'),
  },
});

/** Rates of a producer or consumer that Celery's own command line starts. */
function celery() {
  const python = process.env.BENCH_PYTHON ?? ['../../.cache/python/bin/python'].map(here).find(existsSync) ?? 'python3';
  try {
    execFileSync(python, ['-c', 'import celery, redis'], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  return {
    name: 'Celery (Python)',
    brokers: ['redis', 'rabbitmq'],
    slow: true,
    canvases: true,
    load: {
      command: python,
      args: [
        '-c',
        'import time; s = time.perf_counter(); import celery, celery.app.task, kombu; celery.Celery("x", broker="redis://").task; print(\'{"ms": %f}\' % ((time.perf_counter() - s) * 1000))',
      ],
    },
    run: (options) => {
      const env = { BENCH_BROKER: options.broker, BENCH_N: String(options.n ?? 0), PYTHONWARNINGS: 'ignore' };
      return options.op === 'worker'
        ? {
            command: python,
            args: [
              '-m',
              'celery',
              '--workdir',
              here('.'),
              '-A',
              'celery_app',
              'worker',
              '-P',
              'solo',
              '--without-gossip',
              '--without-mingle',
              '-l',
              'ERROR',
            ],
            env,
          }
        : { command: python, args: [here('celery_app.py'), JSON.stringify(options)], env };
    },
  };
}

/** The peers that are installed; Celeriac first. */
export function peers() {
  return [
    { ...inNode('Celeriac', 'celeriac', 'celeriac.mjs', ['memory', 'sqlite', 'redis', 'rabbitmq']), canvases: true },
    installed('bullmq') && inNode('BullMQ', 'bullmq', 'bullmq.mjs', ['redis']),
    installed('bee-queue') && inNode('bee-queue', 'bee-queue', 'bee-queue.mjs', ['redis']),
    celery(),
  ].filter(Boolean);
}
