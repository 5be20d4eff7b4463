import { expect, test } from 'vitest';
import { cli } from './io.ts';

const MEMORY = ['-b', 'memory://', '--result-backend', 'memory://'];

test('--version prints the version alone', async () => {
  const { code, out } = await cli(['--version']);
  expect(code).toBe(0);
  expect(out).toMatch(/^\d+\.\d+\.\d+\S*\n$/);
});

test('--help says what there is and ends well', async () => {
  const { code, out, err } = await cli(['--help']);
  expect(code).toBe(0);
  expect(err).toBe('');
  for (const command of ['worker', 'call', 'result', 'inspect', 'control', 'status', 'purge', 'report']) {
    expect(out).toContain(`\n  ${command}`);
  }
});

test('no command at all is wrong usage, with help', async () => {
  const { code, err } = await cli([]);
  expect(code).toBe(2);
  expect(err).toContain('Usage: celeriac');
});

test.each([
  [['wroker'], 'Did you mean worker?'],
  [['call', '--kwarg', '{}', 't'], 'Did you mean --kwargs?'],
  [['inspect', 'actve'], 'Did you mean active?'],
  [['control', 'shutdwn'], 'Did you mean shutdown?'],
  [['inspect'], 'inspect --list'],
  [['call'], "missing required argument 'task'"],
  [['call', 't', '--args', '{'], "For example: --args '[2"],
  [['call', 't', '--args', '5'], "-a '[5]'"],
  [['call', 't', '--kwargs', '[]'], 'expected a JSON object'],
  [['call', 't', '--countdown', 'soon'], 'Expected seconds'],
  [['call', 't', '--eta', 'soon'], 'ISO 8601'],
  [['inspect', 'query_task'], 'too few arguments'],
  [['inspect', 'ping', 'what'], 'unexpected argument "what"'],
  [['control', 'time_limit', 'task', 'long'], 'expected a number'],
  [['worker'], 'celeriac worker -A app.ts'],
  [['purge'], '--force'],
  [['-A', './no-such-file.ts', 'report'], 'no module "./no-such-file.ts"'],
])('%j is wrong usage and says what to do', async (argv, hint) => {
  const { code, err } = await cli([...MEMORY, ...argv]);
  expect(err).toContain(hint);
  expect(code).toBe(2);
});

test.each([[['status']], [['inspect', 'ping']], [['control', 'enable_events']]])(
  '%j without any worker ends with 69',
  async (argv) => {
    const { code, out, err } = await cli([...MEMORY, ...argv, '-t', '0.05']);
    expect({ code, out }).toEqual({ code: 69, out: '' });
    expect(err).toContain('No nodes replied within time constraint');
  },
);

test('a broker that is not there ends with 69 and does not show the password', async () => {
  const env = { CELERY_BROKER_CONNECTION_TIMEOUT: '1' };
  const { code, err } = await cli(['-b', 'redis://user:hunter2@127.0.0.1:1/0', 'status', '-t', '0.1'], { env });
  expect(err).not.toContain('hunter2');
  expect(err).toContain('Is the broker running');
  expect(code).toBe(69);
});

test('an unknown broker scheme says which there are', async () => {
  const { code, err } = await cli(['-b', 'amqq://user:hunter2@host', 'status']);
  expect(code).toBe(1);
  expect(err).toContain('redis://');
  expect(err).not.toContain('hunter2');
});

test('report masks secrets and names the preset and the differences', async () => {
  const argv = ['-b', 'redis://user:hunter2@localhost/0', '--result-backend', 'memory://', 'report', '--all'];
  const { code, out } = await cli(argv);
  expect(code).toBe(0);
  expect(out).not.toContain('hunter2');
  expect(out).toContain('preset   -> safe');
  expect(out).toContain('taskAcksLate: true  (Celery: false)');
});

test('report --json is one line that a script can read', async () => {
  const { out } = await cli([...MEMORY, 'report', '--json']);
  expect(out.trim().split('\n')).toHaveLength(1);
  expect(JSON.parse(out)).toMatchObject({ preset: 'safe', software: { node: process.versions.node } });
});

test('purge --force says how many were dropped', async () => {
  const { code, out } = await cli([...MEMORY, 'purge', '--force', '-Q', 'a,b']);
  expect({ code, out }).toEqual({ code: 0, out: 'No messages purged from 2 queues\n' });
  const { out: json } = await cli([...MEMORY, 'purge', '--force', '-Q', 'a,b', '-X', 'a', '--json']);
  expect(JSON.parse(json)).toEqual({ purged: 0, queues: ['b'] });
});

test('call prints the id and nothing else', async () => {
  const { code, out, err } = await cli([...MEMORY, 'call', 'math.add', '-a', '[2, 3]', '-k', '{"x": 1}']);
  expect(err).toBe('');
  expect(code).toBe(0);
  expect(out).toMatch(/^[\da-f-]{36}\n$/);
});

test('result gives up when told to, and says what is known', async () => {
  const { code, err } = await cli([...MEMORY, 'result', 'no-such-id', '--timeout', '0.05']);
  expect(code).toBe(1);
  expect(err).toContain('PENDING');
});

test('options may come from the environment, the command line wins', async () => {
  const env = { CELERY_BROKER: 'memory://', CELERY_PURGE_FORCE: 'yes', CELERY_PURGE_QUEUES: 'x,y,z' };
  expect((await cli(['purge'], { env: { ...env } })).out).toBe('No messages purged from 3 queues\n');
  expect((await cli(['purge', '-Q', 'x'], { env: { ...env } })).out).toBe('No messages purged from 1 queue\n');
  const wrong = await cli(['purge'], { env: { ...env, CELERY_PURGE_FORCE: 'perhaps' } });
  expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('CELERY_PURGE_FORCE') as string });
});

test('colours only on a terminal, and not against NO_COLOR or --no-color', async () => {
  const argv = [...MEMORY, '--help'];
  const escape = '\u001b[';
  expect((await cli(argv, { tty: true })).out).toContain(escape);
  expect((await cli(argv, { tty: false })).out).not.toContain(escape);
  expect((await cli(argv, { tty: true, env: { NO_COLOR: '1' } })).out).not.toContain(escape);
});
