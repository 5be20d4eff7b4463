/** Files of the project that `celeriac init` writes, by their path. */
export function starterFiles(folder: string, version: string): Readonly<Record<string, string>> {
  const name =
    folder
      .toLowerCase()
      .replace(/[^a-z0-9._-]+/g, '-')
      .replace(/^[._-]+/, '') || 'tasks';
  return {
    'package.json': `${JSON.stringify(packageJson(name, version), null, 2)}\n`,
    'tsconfig.json': `${JSON.stringify(TSCONFIG, null, 2)}\n`,
    'src/app.ts': APP,
    'src/call.ts': CALL,
    'src/app.test.ts': TEST,
    'compose.yaml': COMPOSE,
    Dockerfile: DOCKERFILE,
    '.dockerignore': 'node_modules\n.celeriac\n.git\n',
    '.gitignore': 'node_modules/\n.celeriac/\n',
    'README.md': readme(name),
  };
}

function packageJson(name: string, version: string): object {
  return {
    name,
    private: true,
    type: 'module',
    engines: { node: '>=20.19' },
    scripts: {
      worker: 'celeriac worker -A src/app.ts',
      call: 'node --import tsx src/call.ts',
      test: 'node --import tsx --test src/app.test.ts',
      typecheck: 'tsc --noEmit',
    },
    dependencies: { celeriac: `^${version}`, ioredis: '>=5', tsx: '^4.19.0' },
    devDependencies: { '@types/node': '^20.19.0', typescript: '^5.9.0' },
  };
}

const TSCONFIG = {
  compilerOptions: {
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable'],
    module: 'nodenext',
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    verbatimModuleSyntax: true,
    skipLibCheck: true,
    types: ['node'],
  },
  include: ['src'],
};

const APP = `import { Celery } from 'celeriac';

// Without a broker URL: an embedded one, in .celeriac/. CELERY_BROKER_URL and CELERY_RESULT_BACKEND change it.
export const app = new Celery();

export const add = app.task('math.add', { maxRetries: 3 }, (x: number, y: number) => x + y);
`;

const CALL = `import { add, app } from './app.ts';

const handle = await add.delay(2, 3);
console.log(\`sent \${handle.id}\`);
console.log(\`2 + 3 = \${await handle.get({ timeout: '30s' })}\`);
await app.close();
`;

const TEST = `import assert from 'node:assert/strict';
import { after, test } from 'node:test';

process.env['CELERY_BROKER_URL'] = 'memory://';
process.env['CELERY_RESULT_BACKEND'] = 'memory://';
const { testWorker } = await import('celeriac/testing');
const { add, app } = await import('./app.ts');

const worker = await testWorker(app);
after(async () => {
  await worker.stop();
  await app.close();
});

test('adds, in a real worker', async () => {
  assert.equal(await (await add.delay(2, 3)).get({ timeout: '5s' }), 5);
});
`;

const COMPOSE = `# docker compose up --build --scale worker=3
services:
  redis:
    image: redis:7-alpine
    command: redis-server --appendonly yes
    volumes: [redis:/data]
    healthcheck:
      test: [CMD, redis-cli, ping]
      interval: 5s
      timeout: 3s
      retries: 10
  worker:
    build: .
    environment:
      CELERY_BROKER_URL: redis://redis:6379/0
      CELERY_RESULT_BACKEND: redis://redis:6379/1
    depends_on:
      redis: { condition: service_healthy }
    restart: unless-stopped
    # Longer than the longest task: what is cut off runs again elsewhere.
    stop_grace_period: 60s
volumes:
  redis: {}
`;

const DOCKERFILE = `FROM node:22-slim
WORKDIR /app
COPY package*.json ./
RUN npm install --omit=dev
COPY . .
USER node
# Not through npm: signals must reach the worker.
CMD ["node_modules/.bin/celeriac", "worker", "-A", "src/app.ts", "-l", "INFO"]
`;

function readme(name: string): string {
  return `# ${name}

    npm install
    npm test              # runs the task in a real worker, in memory
    npm run worker        # runs tasks until Ctrl-C
    npm run call          # sends one and waits for its result

    docker compose up --build --scale worker=3    # workers on Redis

Tasks are in \`src/app.ts\`.
`;
}
