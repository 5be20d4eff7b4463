import { Worker } from 'node:worker_threads';
import { threadEntry, type Member, type MemberEvents } from './member.ts';
import type { ToParent } from './wire.ts';

/** A worker thread. Ending it stops its code wherever it is; there are no signals. */
export function startThread(events: MemberEvents): Member {
  const { code } = threadEntry();
  const thread = new Worker(code, { eval: true, env: { ...process.env } });
  let ended = false;
  thread.on('message', (batch: readonly ToParent[]) => events.messages(batch));
  thread.on('error', (error) => events.problem(error.stack ?? error.message));
  thread.once('exit', (code) => events.exit({ code: ended ? null : code, signal: ended ? 'SIGKILL' : null }));
  return {
    pid: process.pid,
    send: (batch) => thread.postMessage(batch),
    end() {
      ended = true;
      void thread.terminate();
    },
  };
}
