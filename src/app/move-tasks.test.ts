import { expect, test } from 'vitest';
import { Celery } from './celery.ts';

const newApp = (): Celery => new Celery({ broker: 'memory://', backend: 'memory://', env: {} });

async function waiting(app: Celery, queue: string): Promise<number> {
  await using connection = await (await app.transport()).connect();
  return (await connection.channel()).size(queue);
}

test('tasks move to another queue: by name, by id, by a function; others stay', async () => {
  const app = newApp();
  const mail = await app.send('mail.send', ['ann']);
  for (let n = 0; n < 3; n++) await app.send('video.encode', [n]);
  const told: string[] = [];
  const byName = {
    tasks: ['video.encode'],
    to: 'slow',
    onMoved: ({ name }: { name: string }, to: string) => void told.push(`${name} ${to}`),
  };
  expect(await app.moveTasks(byName)).toEqual({ moved: 3, left: 1 });
  expect(told).toEqual(Array(3).fill('video.encode slow'));
  expect([await waiting(app, 'celery'), await waiting(app, 'slow')]).toEqual([1, 3]);
  expect(await app.moveTasks({ ids: [mail.id], to: 'urgent' })).toEqual({ moved: 1, left: 0 });
  expect(await app.moveTasks({ queues: ['slow'], to: 'celery', limit: 2 })).toMatchObject({ moved: 2 });
  expect(await app.moveTasks({ queues: ['celery', 'slow'], to: 'slow' })).toMatchObject({ moved: 2 });
  expect(await app.moveTasks({ queues: ['slow'], to: () => undefined })).toEqual({ moved: 0, left: 3 });
  expect([await waiting(app, 'celery'), await waiting(app, 'slow'), await waiting(app, 'urgent')]).toEqual([0, 3, 1]);
  await app.close();
});

test('to another broker, and copied there; what arrives can be run', async () => {
  const [here, there] = [newApp(), newApp()];
  await here.send('math.add', [2, 3], { headers: { tenant: 'acme' } });
  const options = { to: ({ queue }: { queue: string }) => queue, destination: there };
  expect(await here.moveTasks({ ...options, copy: true })).toEqual({ moved: 1, left: 0 });
  expect(await waiting(here, 'celery')).toBe(1);
  expect(await here.moveTasks(options)).toEqual({ moved: 1, left: 0 });
  expect([await waiting(here, 'celery'), await waiting(there, 'celery')]).toEqual([0, 2]);
  await using connection = await (await there.transport()).connect();
  const delivery = await (await connection.channel()).get('celery');
  expect(delivery?.message.headers).toMatchObject({ task: 'math.add', tenant: 'acme' });
  await Promise.all([here.close(), there.close()]);
});

test('a move that is cancelled ends between two messages', async () => {
  const app = newApp();
  for (let n = 0; n < 3; n++) await app.send('a', [n]);
  const stop = new AbortController();
  stop.abort();
  expect(await app.moveTasks({ to: 'b', signal: stop.signal })).toEqual({ moved: 0, left: 0 });
  expect(await waiting(app, 'celery')).toBe(3);
  await app.close();
});
