import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { buildProgram } from '../../src/cli/program.ts';
import { Session } from '../../src/cli/session.ts';
import { starterFiles } from '../../src/cli/starter-files.ts';
import { testIo } from '../cli/io.ts';

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));
const read = (name: string): string => readFileSync(join(DEPLOY, name), 'utf8');

/** Options in a `worker` or `inspect` command line exist. */
function checkOptions(command: string, words: readonly string[]): void {
  const program = buildProgram(new Session(testIo().io));
  const known = program.commands.find((one) => one.name() === command);
  expect(known, command).toBeDefined();
  const flags = [...program.options, ...(known?.options ?? [])].flatMap(({ short, long }) => [short, long]);
  for (const word of words.filter((one) => one.startsWith('-'))) expect(flags).toContain(word);
}

const PROBE = ['sh', '-c', 'node_modules/.bin/celeriac inspect ping -d "worker@$(hostname)" -t 10'];

const UNIT = 'systemd/celeriac-worker@.service';

test('the unit stops gracefully, and its command line exists', () => {
  const unit = read(UNIT);
  const line = /^ExecStart=(.+)$/m.exec(unit)?.[1] ?? '';
  checkOptions('worker', line.split(' ').slice(2));
  for (const field of ['KillSignal=SIGTERM', 'KillMode=mixed', 'Restart=always', 'TimeoutStopSec=300']) {
    expect(unit).toContain(`\n${field}\n`);
  }
});

test.skipIf(!existsSync('/usr/bin/systemd-analyze'))('the unit passes systemd-analyze verify', () => {
  const unit = read(UNIT);
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-unit-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  // The program has to exist for the check; nothing else is changed.
  writeFileSync(join(folder, 'celeriac-worker@w1.service'), unit.replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true'));
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', join(folder, 'celeriac-worker@w1.service')], {
    encoding: 'utf8',
    env: { ...process.env, SYSTEMD_LOG_LEVEL: 'warning' },
  });
  expect(stderr.split('\n').filter((text) => text.includes('celeriac-worker'))).toEqual([]);
  expect(status).toBe(0);
});

test('Kubernetes: selectors fit, probes ask the worker itself, the grace period is there', () => {
  const documents = parseAllDocuments(read('kubernetes/worker.yaml')).map((one) => {
    expect(one.errors).toEqual([]);
    return one.toJS() as Record<string, any>; // eslint-disable-line
  });
  expect(documents.map(({ kind }) => kind as string)).toEqual(['ConfigMap', 'Deployment', 'PodDisruptionBudget']);
  const [config, deployment, budget] = documents as [any, any, any]; // eslint-disable-line
  const { spec } = deployment.spec.template;
  expect(deployment.spec.selector.matchLabels).toEqual(deployment.spec.template.metadata.labels);
  expect(budget.spec.selector.matchLabels).toEqual(deployment.spec.selector.matchLabels);
  expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(60);
  const [container] = spec.containers;
  checkOptions(container.args[0], container.args.slice(1));
  expect(container.envFrom[0].configMapRef.name).toBe(config.metadata.name);
  for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
    expect(container[probe].exec.command).toEqual(PROBE);
    expect(container[probe].timeoutSeconds).toBeGreaterThan(10);
  }
  checkOptions('inspect', ['-d', '-t']);
});

test.each([
  ['the fleet', () => read('compose.yaml'), '5m'],
  ['the starter project', () => starterFiles('x', '1.0.0')['compose.yaml'] ?? '', '60s'],
])('compose file of %s', (_, text, grace) => {
  const { services, volumes } = parse(text()) as Record<string, Record<string, any>>; // eslint-disable-line
  expect(services?.['worker'].depends_on).toEqual({ redis: { condition: 'service_healthy' } });
  expect(services?.['worker'].stop_grace_period).toBe(grace);
  expect(services?.['redis'].healthcheck.test).toEqual(['CMD', 'redis-cli', 'ping']);
  expect(Object.keys(volumes ?? {})).toEqual(['redis']);
});

test('the image starts the worker itself, not a shell', () => {
  const file = read('Dockerfile');
  expect(file).toContain('ENTRYPOINT ["node_modules/.bin/celeriac"]');
  const words = JSON.parse(/^CMD (\[.+\])$/m.exec(file)?.[1] ?? '[]') as string[];
  checkOptions(words[0] as string, words.slice(1));
  expect(file).toMatch(/^USER node$/m);
});
