import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { CeleryError } from '../errors.ts';
import { amqpHelp, BrokerSession } from './amqp-commands.ts';
import { openLink } from './broker-link.ts';
import { CommandError, EXIT } from './exit.ts';
import type { Session } from './session.ts';
import { splitWords } from './words.ts';

/** `celeriac amqp`: commands for the broker, one on the command line or many from a prompt or a file. */
export function addAmqp(program: Command, session: Session): void {
  program
    .command('amqp')
    .description('talk to the broker: declare, bind, purge, publish, get, acknowledge')
    .argument('[command]', 'one command; without it, commands are read from a prompt or from stdin')
    .argument('[arguments...]')
    .option('-j, --json', 'a line of JSON for each command')
    .addHelpText('after', `\nCommands (on every broker, with what it can do):\n${amqpHelp()}`)
    .action(async (name: string | undefined, words: readonly string[], flags: { readonly json?: boolean }) => {
      const app = await session.app();
      await using link = await openLink(app, await app.transport());
      const broker = new BrokerSession(link.channel);
      const show = (result: unknown): void => {
        if (flags.json) session.json(typeof result === 'string' ? { result } : result);
        else session.print(typeof result === 'string' ? result : JSON.stringify(result, null, 2));
      };
      if (name === undefined) await shell(session, link.transport.displayUrl, broker, show);
      else show(await broker.run([name, ...words]));
    });
}

/** Reads commands until the input ends. A script (no terminal) stops at the first error; people may try again. */
async function shell(
  session: Session,
  address: string,
  broker: BrokerSession,
  show: (result: unknown) => void,
): Promise<void> {
  const { stdin, stderr } = session.io;
  const people = stdin.isTTY === true;
  if (people) session.note(`-> connected to ${address}; help lists the commands`);
  let count = 0;
  const prompt = (): void => {
    if (people) stderr.write(`${++count}> `);
  };
  const lines = createInterface({ input: stdin, terminal: false });
  prompt();
  for await (const line of lines) {
    try {
      const words = splitWords(line);
      if (words[0] === 'exit' || words[0] === 'quit') break;
      if (words[0] === 'help') session.print(amqpHelp());
      else if (words.length > 0 && !line.startsWith('#')) show(await broker.run(words));
    } catch (error) {
      if (!people)
        throw error instanceof SyntaxError ? new CommandError(error.message, { exitCode: EXIT.usage }) : error;
      if (!(error instanceof CommandError || error instanceof SyntaxError || CeleryError.is(error))) throw error;
      stderr.write(`Error: ${error.message}\n`);
      if (error instanceof CommandError && error.hint !== undefined) stderr.write(`${error.hint}\n`);
    }
    prompt();
  }
  lines.close();
}
