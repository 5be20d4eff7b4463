// Runs every example, two at a time; each checks itself and ends with 0 when it did what it says.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const AT_A_TIME = 2;

const here = fileURLToPath(new URL('.', import.meta.url));
const names = readdirSync(here).filter((name) => name !== 'demo' && existsSync(`${here}${name}/main.mjs`));

/** @returns what it wrote and how it ended, where that was not well; else nothing */
function run(name) {
  return new Promise((resolve) => {
    execFile(process.execPath, [`${here}${name}/main.mjs`], { timeout: 60_000 }, (error, stdout, stderr) =>
      resolve(error && `${stdout}${stderr}ended with ${error.code ?? error.signal}`),
    );
  });
}

const waiting = [...names];
const failed = [];
async function next() {
  for (let name; (name = waiting.shift()) !== undefined;) {
    const problem = await run(name);
    console.log(`${problem ? 'FAILED' : 'ok    '} examples/${name}`);
    if (!problem) continue;
    failed.push(name);
    console.log(problem);
  }
}
await Promise.all(Array.from({ length: AT_A_TIME }, next));
console.log(`examples: ${names.length - failed.length} passed, ${failed.length} failed ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
