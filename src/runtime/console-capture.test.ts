import { expect, test } from 'vitest';
import { captureConsole } from './console-capture.ts';
import { silentLogger, type Logger } from './logger.ts';

test('what console writes becomes lines with fields, once; and it is put back', () => {
  const lines: unknown[] = [];
  const written: unknown[] = [];
  const original = (...args: unknown[]): void => void written.push(args);
  const target = { debug: original, log: original, info: original, warn: original, error: original };
  const at =
    (level: string) =>
    (fields: object, message: string): void => {
      lines.push([level, fields, message]);
      // As a logger does that writes with console.
      target.log('from the logger');
    };
  const log: Logger = { ...silentLogger, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const undo = captureConsole({ log, level: 'warn', fields: () => ({ taskId: 'a' }), console: target });
  target.log('%s is %d', 'x', 3, { y: [1] });
  target.info('info');
  target.debug('debug');
  target.error('error');
  undo();
  undo();
  target.log('after');
  const fields = { taskId: 'a' };
  expect(lines).toEqual([
    ['warn', fields, 'x is 3 { y: [ 1 ] }'],
    ['warn', fields, 'info'],
    ['debug', fields, 'debug'],
    ['error', fields, 'error'],
  ]);
  expect(written).toEqual([...Array.from({ length: 4 }, () => ['from the logger']), ['after']]);
});

test('standard output is captured line by line while it is mine, also by a logger that writes there', async () => {
  const lines: string[] = [];
  const written: string[] = [];
  const stream = { write: (text: string | Uint8Array): boolean => (written.push(String(text)), true) };
  const original = stream.write;
  const log: Logger = {
    ...silentLogger,
    warn: (_, message) => {
      lines.push(message);
      stream.write(`logged ${message}`);
    },
  };
  let mine = true;
  const nothing = (): void => {};
  const console = { debug: nothing, log: nothing, info: nothing, warn: nothing, error: nothing };
  const stdout = { stream: stream as unknown as NodeJS.WriteStream, mine: () => mine };
  const undo = captureConsole({ log, level: 'warn', fields: () => ({}), console, stdout });
  const write = stdout.stream.write.bind(stdout.stream);
  await new Promise<void>((resolve) => void write('one\n\ntwo  \nthree', () => resolve()));
  write(Buffer.from('fo\u00fcr\n'));
  mine = false;
  write('else\n');
  undo();
  expect(stream.write).toBe(original);
  expect(lines).toEqual(['one', 'two', 'three', 'foür']);
  expect(written).toEqual(['logged one', 'logged two', 'logged three', 'logged foür', 'else\n']);
});
