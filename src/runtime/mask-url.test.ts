import fc from 'fast-check';
import { expect, test } from 'vitest';
import { maskSecrets, maskUrl } from './mask-url.ts';

test.each([
  ['redis://:secret@host:6379/0', 'redis://:**@host:6379/0'],
  ['redis://user:secret@host/0', 'redis://user:**@host/0'],
  ['redis://user:se@cr@et@host/0', 'redis://user:**@host/0'],
  ['redis://:se/cr?et#x@host/0', 'redis://:**@host/0'],
  ['amqp://me@corp:secret@host//', 'amqp://me@corp:**@host//'],
  ['redis://a:secret@h1;redis://b:secret@h2/1', 'redis://a:**@h1;redis://b:**@h2/1'],
  ['redis://:se;cret@host', 'redis://:**@host'],
  ['sentinel://:secret@h1:26379;h2:26379/0', 'sentinel://:**@h1:26379;h2:26379/0'],
  ['sqs://host/?token=secret&region=eu', 'sqs://host/?token=**&region=eu'],
  ['redis://user@host:6379/0', 'redis://user@host:6379/0'],
  ['redis://host:6379/0', 'redis://host:6379/0'],
  ['sqlite:///var/lib/app.db', 'sqlite:///var/lib/app.db'],
])('%s is shown as %s', (url, shown) => {
  expect(maskUrl(url)).toBe(shown);
});

test.each([
  ['cannot reach redis://u:se@cret@host/0, trying again', 'cannot reach redis://u:**@host/0, trying again'],
  ["url='redis://u:se\"cret@host'", "url='redis://u:**@host'"],
  ['two: redis://a:secret@h1 amqp://b:secret@h2', 'two: redis://a:**@h1 amqp://b:**@h2'],
  ['no address, only a@b and 12:30', 'no address, only a@b and 12:30'],
  ['see https://example.org/a?x=1, or ask a@b', 'see https://example.org/a?x=1, or ask a@b'],
])('%s', (text, shown) => {
  expect(maskSecrets(text)).toBe(shown);
});

test('no password survives, whatever it is made of', () => {
  const characters = fc.string({
    unit: fc.constantFrom('@', ':', '/', '?', '#', ';', '&', '%', '"', 'é'),
    maxLength: 6,
  });
  fc.assert(
    fc.property(characters, characters, (before, after) => {
      const url = `redis://user:${before}hunter2${after}@host:6379/0`;
      expect(maskUrl(url)).not.toContain('hunter2');
      expect(maskSecrets(`lost ${url} again`)).not.toContain('hunter2');
    }),
  );
});
