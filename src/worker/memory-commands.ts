import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getHeapSpaceStatistics, writeHeapSnapshot } from 'node:v8';
import type { Command, Commanded } from './control-commands.ts';

/* Remote control that looks at the worker's memory: Node's equivalents of what Celery does with psutil and objgraph. */

const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(2)}MB`;

/** Celery's text for resident memory; then what only Node knows. */
function memdump(_: Commanded, args: Readonly<Record<string, unknown>>): string {
  const { rss, heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage();
  const spaces = args['samples'] === 0 ? [] : getHeapSpaceStatistics();
  return [
    '- rss (sample):',
    `-    > ${megabytes(rss)},`,
    `- rss (end): ${megabytes(rss)}.`,
    `- heap: ${megabytes(heapUsed)} of ${megabytes(heapTotal)}, external: ${megabytes(external)}, array buffers: ${megabytes(arrayBuffers)}`,
    ...spaces.map((one) => `-    > ${one.space_name}: ${megabytes(one.space_used_size)}`),
    '',
  ].join('\n');
}

/** A heap snapshot for the memory panel of Chromium's developer tools. It stops the worker while it is written. */
function objgraph({ parts }: Commanded): { filename: string } {
  const name = `celeriac-${process.pid}-${parts.app.clock.now()}.heapsnapshot`;
  const filename = writeHeapSnapshot(join(tmpdir(), name));
  parts.log.info({ filename }, 'heap snapshot written');
  return { filename };
}

export const MEMORY_COMMANDS: Readonly<Record<string, Command>> = {
  memsample: () => megabytes(process.memoryUsage.rss()),
  memdump,
  objgraph,
};
