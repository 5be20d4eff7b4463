// Runs every example; each checks itself and ends with 0 when it did what it says.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const names = readdirSync(here).filter((name) => name !== 'demo' && existsSync(`${here}${name}/main.mjs`));
let failed = 0;
for (const name of names) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [`${here}${name}/main.mjs`], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} examples/${name}`);
  if (status === 0) continue;
  failed++;
  console.log(`${stdout}${stderr}ended with ${status ?? signal}`);
}
console.log(`examples: ${names.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
