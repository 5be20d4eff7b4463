import { appendFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import { poolApp } from './app.ts';

/** Writes down what is told in this process, with the process it was told in. */
export const app = poolApp();
const note = (text: string): void => appendFileSync(String(process.env['SIGNALS_FILE']), `${text}\n`);
const place = (): string => `${process.pid}/${threadId}`;
app.on('workerBeforeCreateProcess', () => note(`child: before ${place()}`));
app.on('workerProcessInit', ({ sender, pid }) => note(`init ${sender} ${pid} ${place()}`));
app.on('workerProcessShutdown', ({ sender, pid, exitCode }) =>
  note(`shutdown ${sender} ${pid} ${exitCode} ${place()}`),
);
app.task('place', place);
