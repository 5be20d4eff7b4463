import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { AMQP_COMMANDS } from '../../src/cli/amqp-commands.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { Session } from '../../src/cli/session.ts';
import { testIo } from '../cli/io.ts';
import { missing } from '../support/available.ts';
import { pythonScript } from '../support/python.ts';

/*
 * Every command and option of Python's `celery` exists here, so that scripts and units go on working.
 */

/** Not Celery's own: Flower adds itself where it is installed. `repl` is `celeriac amqp` without words. */
const NOT_OURS = new Set(['flower', 'amqp repl']);

test.skipIf(missing('python') !== undefined)("Python's commands and options are all there", async () => {
  const theirs = await pythonScript<Record<string, string[]>>('cli_options.py', {});
  const program = buildProgram(new Session(testIo().io));
  const lacking: string[] = [];
  for (const [path, options] of Object.entries(theirs)) {
    const [name, word] = path.split(' ');
    if (NOT_OURS.has(path)) continue;
    if (name === 'amqp' && word !== undefined) {
      if (!AMQP_COMMANDS.includes(word)) lacking.push(path);
      continue;
    }
    let command: Command | undefined = program;
    for (const one of path.split(' ').filter(Boolean)) {
      command = command?.commands.find((each: Command) => each.name() === one);
    }
    if (command === undefined) {
      lacking.push(path);
      continue;
    }
    const known = new Set(command.options.flatMap(({ short, long }) => [short, long]));
    lacking.push(...options.filter((one) => one !== '--help' && !known.has(one)).map((one) => `${path} ${one}`));
  }
  expect(Object.keys(theirs).length).toBeGreaterThan(30);
  expect(lacking).toEqual([]);
});
