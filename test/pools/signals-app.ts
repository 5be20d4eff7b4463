import { appendFileSync } from 'node:fs';
import { poolApp } from './app.ts';

/* An app whose children write down when they begin and end, in the file that the environment names. */

export const app = poolApp();

const note = (what: string, sender: string, pid: number): void =>
  appendFileSync(process.env['SIGNALS_FILE'] as string, `${what} ${sender} ${pid} ${process.pid}\n`);

app.on('workerProcessInit', ({ sender, pid }) => note('init', sender, pid));
app.on('workerProcessShutdown', ({ sender, pid, exitCode }) => note(`shutdown ${exitCode}`, sender, pid));
