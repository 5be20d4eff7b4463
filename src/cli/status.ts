import type { Command } from 'commander';
import { addReplyOptions, nobodyAnswered, nodesOnline, type ReplyOptions } from './replies.ts';
import type { Session } from './session.ts';

/** `celeriac status`: which workers are there. */
export function addStatus(program: Command, session: Session): void {
  addReplyOptions(program.command('status').description('list the workers that are online')).action(
    async (options: ReplyOptions) => {
      const app = await session.app();
      const { timeout, destination } = options;
      const answers = await app.control.inspect({ timeout: timeout * 1000, destination }).ping();
      const nodes = Object.keys(answers).sort();
      if (nodes.length === 0) throw nobodyAnswered();
      if (options.json) return session.json(answers);
      const { paint } = session;
      for (const node of nodes) session.print(`->  ${paint.name(node)}: ${paint.good('OK')}`);
      if (!session.options.quiet) session.print(nodesOnline(nodes.length));
    },
  );
}
