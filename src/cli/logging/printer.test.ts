import { expect, test } from 'vitest';
import { silentLogger } from '../../runtime/logger.ts';
import { LogRelay } from '../../runtime/log-relay.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import { jsonFormat } from './json-format.ts';
import { Printer } from './printer.ts';
import { asctime, textFormat, type Format } from './text-format.ts';

function printed(
  format: Format,
  level: 'debug' | 'info' = 'info',
): { printer: Printer; text: () => string; at: string } {
  let text = '';
  const clock = new ManualClock();
  const printer = new Printer({ output: { write: (more) => (text += more) }, clock, level, format });
  return {
    printer,
    at: asctime(clock.now()),
    text: () => {
      printer.flush();
      return text;
    },
  };
}

test("Celery's line, with fields behind the message", () => {
  const { printer, text, at } = printed(textFormat({ colours: false }));
  printer.info({ url: 'redis://:hunter2@host/0', n: 3, why: 'two words' }, 'connected');
  printer.debug({}, 'not at this level');
  expect(text()).toBe(`[${at}: INFO/MainProcess] connected url=redis://:**@host/0 n=3 why="two words"\n`);
});

test("Celery's sentences for what happens to tasks", () => {
  const { printer, text, at } = printed(textFormat({ colours: false }));
  const task = printer.child({ task: 'math.add', taskId: 'id-1' });
  task.info({}, 'task received');
  task.info({ runtime: 0.5, result: '5' }, 'task succeeded');
  task.warn({ page: 1 }, 'from the task itself');
  expect(text()).toBe(
    [
      `[${at}: INFO/MainProcess] Task math.add[id-1] received`,
      `[${at}: INFO/MainProcess] Task math.add[id-1] succeeded in 0.5s: 5`,
      `[${at}: WARNING/MainProcess] math.add[id-1]: from the task itself page=1`,
      '',
    ].join('\n'),
  );
});

test('an error stands below its line', () => {
  const { printer, text } = printed(textFormat({ colours: false }));
  printer.error({ error: new TypeError('no such thing') }, 'it failed');
  expect(text()).toMatch(/ERROR\/MainProcess\] it failed\nTypeError: no such thing\n {4}at /);
});

test('what a child of a pool says is said to be its', () => {
  const { printer, text, at } = printed(textFormat({ colours: false }));
  printer.child({ task: 'math.add', taskId: 'id-1', pid: 7 }).info({ n: 1 }, 'from a child');
  printer.child({ pid: process.pid }).info({}, 'from a thread');
  expect(text()).toBe(
    `[${at}: INFO/ForkPoolWorker-7] math.add[id-1]: from a child n=1\n` +
      `[${at}: INFO/MainProcess] from a thread pid=${process.pid}\n`,
  );
});

test('formats of the settings', () => {
  const { printer, text } = printed(textFormat({ colours: false, format: '%(levelname)s %(message)s %(unknown)s' }));
  printer.warn({}, 'careful');
  expect(text()).toBe('WARNING careful %(unknown)s\n');
  const task = printed(textFormat({ colours: false, taskFormat: '%(task_name)s/%(task_id)s %(process)d %(message)s' }));
  task.printer.child({ task: 't', taskId: 'i', pid: 7 }).info({}, 'inside');
  task.printer.child({ task: 't', taskId: 'i' }).info({}, 'task received');
  expect(task.text()).toBe(`t/i 7 inside\n[${task.at}: INFO/MainProcess] Task t[i] received\n`);
});

test('JSON: one object a line, secrets masked, whatever the fields hold', () => {
  const { printer, text } = printed(jsonFormat);
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  printer.info({ password: 'hunter2', big: 10n, error: new Error('amqp://u:hunter2@h failed') }, 'hello');
  printer.info(circular, 'round');
  const [first, second] = text()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(text()).not.toContain('hunter2');
  expect(first).toMatchObject({
    time: '2026-01-01T00:00:00.000Z',
    level: 'info',
    message: 'hello',
    big: '10',
    error: { type: 'Error', message: 'amqp://u:**@h failed' },
  });
  expect(second).toMatchObject({ message: 'round', fieldsError: expect.any(String) as string });
});

test('a relay is silent until a printer is attached, its children too', () => {
  const relay = new LogRelay();
  const child = relay.child({ task: 't' });
  child.info({}, 'lost');
  expect(relay.isLevelEnabled('fatal')).toBe(false);
  const { printer, text } = printed(jsonFormat);
  relay.attach(printer);
  child.info({ n: 1 }, 'found');
  expect(JSON.parse(text())).toMatchObject({ message: 'found', task: 't', n: 1 });
  relay.attach(silentLogger);
  child.info({}, 'lost again');
  expect(text()).not.toContain('lost');
});
