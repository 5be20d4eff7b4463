// Runs orders.test.cjs beside this with Jest, as `npx jest` does in a project.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const jest = createRequire(import.meta.url).resolve('jest/bin/jest');
const options = ['--rootDir', fileURLToPath(new URL('.', import.meta.url)), '--testMatch', '**/*.test.cjs', '--ci'];
const { status } = spawnSync(process.execPath, [jest, ...options], { stdio: 'inherit' });
process.exitCode = status ?? 1;
