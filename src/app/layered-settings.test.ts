import { expect, test } from 'vitest';
import { Settings } from './layered-settings.ts';

test('run time over object over added defaults over built-ins; unset uncovers', () => {
  const settings = new Settings();
  expect(settings.config.taskSerializer).toBe('json');
  settings.addDefaults({ taskSerializer: 'default' });
  expect(settings.config.taskSerializer).toBe('default');
  settings.load({ task_serializer: 'object' });
  expect(settings.config.taskSerializer).toBe('object');
  settings.set('task_serializer', 'run-time');
  expect(settings.config.taskSerializer).toBe('run-time');
  expect(settings.unset('taskSerializer').config.taskSerializer).toBe('object');
  expect(settings.load({}).config.taskSerializer).toBe('default');
});

test('the environment wins over a run-time value', () => {
  const settings = new Settings({ brokerUrl: 'redis://h' }, { CELERY_BROKER_URL: 'redis://env' });
  expect(settings.config.brokerUrl).toBe('redis://env');
});

test('the config is computed once between changes, and stays as it was handed out', () => {
  const settings = new Settings();
  const before = settings.config;
  expect(settings.config).toBe(before);
  expect(settings.set('taskAcksLate', false).config).not.toBe(before);
  expect(before.taskAcksLate).toBe(true);
});

test('loads a namespace and leaves the rest of the object alone', () => {
  const django = { DEBUG: true, CELERY_BROKER_URL: 'redis://h', CELERY_TASK_ACKS_LATE: false };
  expect(new Settings().load(django, { namespace: 'CELERY' }).config).toMatchObject({
    brokerUrl: 'redis://h',
    taskAcksLate: false,
  });
});

test('unknown names are refused where they are given', () => {
  const settings = new Settings();
  expect(() => settings.set('taskSerialiser', 'json')).toThrow('did you mean "taskSerializer"?');
  expect(() => settings.addDefaults({ nope: 1 })).toThrow('unknown setting "nope"');
});
