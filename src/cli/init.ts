import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Command } from 'commander';
import { VERSION } from '../version.ts';
import { CommandError, EXIT } from './exit.ts';
import { starterFiles } from './starter-files.ts';
import type { Session } from './session.ts';

interface InitFlags {
  readonly force?: boolean;
  readonly json?: boolean;
}

/** `celeriac init [FOLDER]`: a project that runs, to begin with. */
export function addInit(program: Command, session: Session): void {
  program
    .command('init')
    .description('write a starter project: TypeScript, one task, a test, a compose file')
    .argument('[folder]', 'where; made if it is not there', '.')
    .option('-f, --force', 'write beside other files; none of theirs is replaced')
    .option('-j, --json', 'the files as one line of JSON')
    .action((folder: string, flags: InitFlags) => {
      const root = session.path(folder);
      if (!flags.force && existsSync(root) && readdirSync(root).some((name) => name !== '.git')) {
        throw new CommandError(`${folder} is not empty`, {
          exitCode: EXIT.usage,
          hint: 'Name a new folder, or use --force',
        });
      }
      const files = starterFiles(basename(root), VERSION);
      const taken = Object.keys(files).filter((name) => existsSync(join(root, name)));
      if (taken.length > 0)
        throw new CommandError(`these exist already: ${taken.join(', ')}`, { exitCode: EXIT.usage });
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(dirname(join(root, name)), { recursive: true });
        writeFileSync(join(root, name), text, { flag: 'wx' });
      }
      if (flags.json) return session.json({ folder: root, files: Object.keys(files) });
      session.print(`Wrote ${Object.keys(files).length} files to ${folder}. Next:\n`);
      if (folder !== '.') session.print(`  cd ${folder}`);
      session.print(
        '  npm install\n  npm test\n  npm run worker      # in one terminal\n  npm run call        # in another',
      );
    });
}
