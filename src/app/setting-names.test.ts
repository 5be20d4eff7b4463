import { expect, test } from 'vitest';
import { normaliseNames, oldName, snakeName } from './setting-names.ts';
import { SETTING_NAMES } from './settings.ts';

const names = (input: object, namespace?: string): object => Object.fromEntries(normaliseNames(input, namespace));

test.each([
  ['acceptContent', 'CELERY_ACCEPT_CONTENT'],
  ['timezone', 'CELERY_TIMEZONE'],
  ['enableUtc', 'ENABLE_UTC'],
  ['beatSchedule', 'CELERYBEAT_SCHEDULE'],
  ['taskRoutes', 'CELERY_ROUTES'],
  ['taskTimeLimit', 'CELERYD_TASK_TIME_LIMIT'],
  ['workerConcurrency', 'CELERYD_CONCURRENCY'],
  ['workerSendTaskEvents', 'CELERY_SEND_EVENTS'],
  ['eventQueueTtl', 'CELERY_EVENT_QUEUE_TTL'],
  ['resultExpires', 'CELERY_TASK_RESULT_EXPIRES'],
  ['resultBackend', 'CELERY_RESULT_BACKEND'],
  ['redisHost', 'CELERY_REDIS_HOST'],
  ['brokerUrl', 'BROKER_URL'],
  ['s3AccessKeyId', 'S3_ACCESS_KEY_ID'],
] as const)('%s was %s', (name, old) => {
  expect(oldName(name)).toBe(old);
  expect(names({ [old]: 1 })).toEqual({ [name]: 1 });
});

test('every spelling of every setting leads to it', () => {
  for (const name of SETTING_NAMES) {
    for (const key of [name, snakeName(name), oldName(name)]) expect(names({ [key]: 1 })).toEqual({ [name]: 1 });
    expect(names({ [`CELERY_${snakeName(name).toUpperCase()}`]: 1 }, 'CELERY')).toEqual({ [name]: 1 });
  }
});

test('the two new spellings mix', () => {
  expect(names({ task_serializer: 'json', workerConcurrency: 2 })).toEqual({
    taskSerializer: 'json',
    workerConcurrency: 2,
  });
});

test.each<[object, string | undefined, string]>([
  [{ taskSerialiser: 1 }, undefined, 'unknown setting "taskSerialiser": did you mean "taskSerializer"?'],
  [{ task_serialiser: 1 }, undefined, 'did you mean "task_serializer"?'],
  [{ CELERYD_CONCURENCY: 1 }, undefined, 'did you mean "CELERYD_CONCURRENCY"?'],
  [{ CELERY_BROKER_URL: 1 }, undefined, "need { namespace: 'CELERY' }"],
  [{ CELERY_BROKER_ULR: 1 }, 'CELERY', 'unknown setting "CELERY_BROKER_ULR": did you mean "CELERY_BROKER_URL"?'],
  [{ task_serializer: 'a', taskSerializer: 'b' }, undefined, 'are one setting with two values'],
  [
    { task_serializer: 'a', timezone: 'UTC', CELERYD_CONCURRENCY: 2 },
    undefined,
    'most here are new, so rename: CELERYD_CONCURRENCY -> worker_concurrency',
  ],
  [
    { task_serializer: 'a', CELERY_TIMEZONE: 'UTC', CELERYD_CONCURRENCY: 2 },
    undefined,
    'most here are old, so rename: task_serializer -> CELERY_TASK_SERIALIZER',
  ],
])('%j (namespace %s) is refused', (input, namespace, message) => {
  expect(() => names(input, namespace)).toThrow(message);
});

test('a setting given in both spellings is no mixture; the spelling of the majority counts, a tie is new', () => {
  expect(names({ result_expires: 1, CELERY_TASK_RESULT_EXPIRES: 2 })).toEqual({ resultExpires: 1 });
  expect(names({ result_expires: 1, CELERY_TASK_RESULT_EXPIRES: 2, CELERYD_CONCURRENCY: 3 })).toEqual({
    resultExpires: 2,
    workerConcurrency: 3,
  });
});

test('a name like no other is refused without a guess', () => {
  expect(() => names({ colour: 1 })).toThrow('unknown setting "colour", and none is called alike');
});
