import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { buildProgram } from '../../src/cli/program.ts';
import { Session } from '../../src/cli/session.ts';
import { starterFiles } from '../../src/cli/starter-files.ts';
import { testIo } from '../cli/io.ts';
import { missing } from '../support/available.ts';
import { PYTHON } from '../support/global-setup.ts';

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

const UNITS = ['celeriac-worker@.service', 'celeriac-beat.service'];

test.each(UNITS)('the unit %s stops gracefully, and its command line exists', (name) => {
  const unit = read(`systemd/${name}`);
  const [, command = '', ...words] = (/^ExecStart=(.+)$/m.exec(unit)?.[1] ?? '').split(' ');
  checkOptions(command, words);
  for (const field of ['KillSignal=SIGTERM', 'Restart=always']) expect(unit).toContain(`\n${field}\n`);
  if (command === 'worker') expect(unit).toMatch(/\nKillMode=mixed\n[^]*\nTimeoutStopSec=300\n/);
});

test.skipIf(!existsSync('/usr/bin/systemd-analyze'))(
  'the units pass systemd-analyze verify (skipped where systemd is not installed)',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'celeriac-unit-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const files = UNITS.map((name) => {
      const file = join(folder, name.replace('@', '@w1'));
      // The program has to exist for the check; nothing else is changed.
      writeFileSync(file, read(`systemd/${name}`).replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true'));
      return file;
    });
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', ...files], {
      encoding: 'utf8',
      env: { ...process.env, SYSTEMD_LOG_LEVEL: 'warning' },
    });
    expect(stderr.split('\n').filter((text) => text.includes('celeriac-'))).toEqual([]);
    expect(status).toBe(0);
  },
);

test('supervisord: command lines exist, a stop is longer than a task, the group has what there is', () => {
  const sections = new Map(
    read('supervisord/celeriac.conf')
      .split(/^\[/m)
      .slice(1)
      .map((text): [string, Map<string, string>] => {
        const lines = text.split('\n').filter((line) => /^\w+=/.test(line));
        return [
          text.slice(0, text.indexOf(']')),
          new Map(lines.map((line) => line.split(/=(.*)/s) as [string, string])),
        ];
      }),
  );
  for (const name of ['worker', 'beat']) {
    const program = sections.get(`program:celeriac-${name}`);
    const [, command = '', ...words] = program?.get('command')?.split(' ') ?? [];
    expect(command).toBe(name);
    checkOptions(command, words);
    expect(program?.get('stopsignal')).toBe('TERM');
  }
  expect(Number(sections.get('program:celeriac-worker')?.get('stopwaitsecs'))).toBeGreaterThan(60);
  expect(sections.get('group:celeriac')?.get('programs')).toBe('celeriac-worker,celeriac-beat');
});

/** The texts of the elements of one name, in order. */
const texts = (xml: string, name: string): string[] =>
  [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map((match) => match[1] as string);

test.skipIf(missing('python') !== undefined)(
  'launchd and Windows: files that can be read, command lines that exist',
  () => {
    const script = `import json, plistlib, sys, xml.etree.ElementTree as xml
xml.parse(sys.argv[2])
print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))`;
    const files = ['launchd/org.example.celeriac-worker.plist', 'windows/celeriac-worker.xml'].map((name) =>
      join(DEPLOY, name),
    );
    const { stdout, stderr } = spawnSync(PYTHON, ['-c', script, ...files], { encoding: 'utf8' });
    expect(stderr).toBe('');
    const plist = JSON.parse(stdout) as { ProgramArguments: string[]; KeepAlive: boolean; ExitTimeOut: number };
    expect(plist).toMatchObject({ KeepAlive: true, ExitTimeOut: 300 });
    checkOptions('worker', plist.ProgramArguments.slice(3));
    const [line = ''] = texts(read('windows/celeriac-worker.xml'), 'Arguments');
    checkOptions('worker', line.split(' ').slice(2));
  },
);

test('the init script starts workers, says how they are, and stops them', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'celeriac-initd-'));
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const pids = (): string[] => readdirSync(join(folder, 'run')).filter((name) => name.endsWith('.pid'));
  onTestFinished(() => {
    for (const name of pids()) process.kill(Number(readFileSync(join(folder, 'run', name), 'utf8')), 'SIGKILL');
    rmSync(folder, { recursive: true });
  });
  writeFileSync(
    join(folder, 'celeriac'),
    `#!/bin/sh\nexec "${process.execPath}" --import tsx "${root}src/cli/main.ts" "$@"\n`,
    {
      mode: 0o755,
    },
  );
  writeFileSync(
    join(folder, 'app.mjs'),
    `import { Celery } from '${root}src/index.ts'; export const app = new Celery({ broker: 'sqlite:///${folder}/broker.db' });`,
  );
  writeFileSync(
    join(folder, 'defaults'),
    [
      `CELERIAC_HOME=${root}`,
      `CELERIAC_BIN=${folder}/celeriac`,
      `CELERIAC_APP=${folder}/app.mjs`,
      'CELERIAC_NODES="a@test"',
      'CELERIAC_OPTIONS="-c 1 -l INFO"',
      'CELERIAC_USER=',
      `CELERIAC_RUN=${folder}/run`,
      `CELERIAC_LOG=${folder}/log`,
    ].join('\n'),
  );
  const script = (word: string): { status: number | null; stdout: string; stderr: string } =>
    spawnSync('sh', [join(DEPLOY, 'init.d/celeriac-workers'), word], {
      encoding: 'utf8',
      timeout: 60_000,
      env: { ...process.env, CELERIAC_DEFAULTS: join(folder, 'defaults') },
    });
  expect(script('start')).toMatchObject({ status: 0, stderr: '' });
  expect(pids()).toEqual(['a.pid']);
  expect(script('stop')).toMatchObject({ status: 0 });
  expect(pids()).toEqual([]);
  expect(script('what').status).toBe(64);
});

test('Kubernetes: selectors fit, probes ask the health server, the grace period is there', () => {
  const documents = parseAllDocuments(read('kubernetes/worker.yaml')).map((one) => {
    expect(one.errors).toEqual([]);
    return one.toJS() as Record<string, any>; // eslint-disable-line -- YAML of any shape
  });
  expect(documents.map(({ kind }) => kind as string)).toEqual(['ConfigMap', 'Deployment', 'PodDisruptionBudget']);
  const [config, deployment, budget] = documents as [any, any, any]; // eslint-disable-line -- YAML of any shape
  const { spec } = deployment.spec.template;
  expect(deployment.spec.selector.matchLabels).toEqual(deployment.spec.template.metadata.labels);
  expect(budget.spec.selector.matchLabels).toEqual(deployment.spec.selector.matchLabels);
  expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(60);
  const [container] = spec.containers;
  checkOptions(container.args[0], container.args.slice(1));
  expect(container.envFrom[0].configMapRef.name).toBe(config.metadata.name);
  const [{ name: port, containerPort }] = container.ports;
  expect(container.args.slice(-2)).toEqual(['--health', `0.0.0.0:${containerPort}`]);
  const probed = { startupProbe: '/ready', readinessProbe: '/ready', livenessProbe: '/live' };
  for (const [probe, path] of Object.entries(probed)) expect(container[probe].httpGet).toEqual({ path, port });
  const { startupProbe } = container;
  expect(startupProbe.periodSeconds * startupProbe.failureThreshold).toBeGreaterThanOrEqual(60);
});

test.each([
  ['the fleet', () => read('compose.yaml'), '5m'],
  ['the starter project', () => starterFiles('x', '1.0.0')['compose.yaml'] ?? '', '60s'],
])('compose file of %s', (_, text, grace) => {
  const { services, volumes } = parse(text()) as Record<string, Record<string, any>>; // eslint-disable-line -- YAML of any shape
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
