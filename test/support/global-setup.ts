import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import type { Available } from './available.ts';

/*
 * Before the first test: sees to it that the servers and Python Celery are there, installing them where it may.
 * In CI something missing is a failure; on a laptop its tests are skipped, and the end of the run says so.
 */

const CACHE = fileURLToPath(new URL('../../.cache/', import.meta.url));
export const PYTHON: string = `${CACHE}python/bin/python`;
/** Packages, and the module by which each is known to be there. */
const PYTHON_PACKAGES: Readonly<Record<string, string>> = {
  'celery[redis]==5.6.*': 'redis',
  packaging: 'packaging',
  brotli: 'brotli',
  'backports.zstd': 'backports.zstd',
  ephem: 'ephem',
  sqlalchemy: 'sqlalchemy',
  'psycopg2-binary': 'psycopg2',
  pymysql: 'pymysql',
  'django-celery-beat': 'django_celery_beat',
  flower: 'flower',
  msgpack: 'msgpack',
};

function works(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** Debian would start each service it installs; this keeps it from that while packages are unpacked. */
function aptInstall(...packages: string[]): void {
  const policy = '/usr/sbin/policy-rc.d';
  const own = !existsSync(policy);
  if (own) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    const install = ['install', '-y', '--no-install-recommends', ...packages];
    if (spawnSync('apt-get', install, { env, stdio: 'ignore' }).status !== 0) {
      execFileSync('apt-get', ['update'], { env, stdio: 'ignore' });
      execFileSync('apt-get', install, { env, stdio: 'ignore' });
    }
  } finally {
    if (own) rmSync(policy, { force: true });
  }
}

const mayInstall = (): boolean => process.getuid?.() === 0 && works('apt-get', '--version');

/** A server, terminal or shell whose Debian packages bring `program`. */
function server(program: string, ...packages: string[]): () => string {
  const there = (): boolean => works('sh', '-c', `command -v ${program}`);
  return () => {
    if (there()) return '';
    const name = packages[0] ?? program;
    if (!mayInstall()) return `${name} is not installed (Debian, Ubuntu: apt-get install ${packages.join(' ')})`;
    console.log(`installing ${name} …`);
    aptInstall(...packages);
    return there() ? '' : `${name} could not be installed`;
  };
}

function python(): string {
  const usable = (): boolean => works(PYTHON, '-c', 'import celery, kombu.transport.redis');
  const modules = Object.values(PYTHON_PACKAGES);
  const complete = `from importlib.util import find_spec; assert all(map(find_spec, ${JSON.stringify(modules)}))`;
  if (usable()) {
    if (works(PYTHON, '-c', complete)) return '';
  } else {
    mkdirSync(CACHE, { recursive: true });
    rmSync(`${CACHE}python`, { recursive: true, force: true });
    if (!works('python3', '-m', 'venv', `${CACHE}python`)) {
      if (mayInstall()) aptInstall('python3', 'python3-venv');
      if (!works('python3', '-m', 'venv', `${CACHE}python`)) return 'python3 with venv is not installed';
    }
  }
  console.log('installing Python Celery into .cache/python …');
  const pip = spawnSync(
    PYTHON,
    ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...Object.keys(PYTHON_PACKAGES)],
    {
      encoding: 'utf8',
    },
  );
  if (pip.status !== 0 && !usable()) {
    rmSync(`${CACHE}python`, { recursive: true, force: true });
    if (!mayInstall()) return `Python Celery could not be installed: ${pip.stderr.trim().split('\n').at(-1) ?? ''}`;
    aptInstall('python3-celery', 'python3-redis');
    if (!works('python3', '-m', 'venv', '--system-site-packages', `${CACHE}python`)) return 'no virtual environment';
  }
  return usable() ? '' : 'Python Celery cannot be imported';
}

function attempt(install: () => string): string {
  try {
    return install();
  } catch (error) {
    return String(error);
  }
}

export default function setup(project: TestProject): () => void {
  const available: Available = {
    redis: attempt(server('redis-server', 'redis-server')),
    rabbitmq: attempt(server('rabbitmq-server', 'rabbitmq-server')),
    postgresql: attempt(server('/usr/lib/postgresql/*/bin/postgres', 'postgresql')),
    mariadb: attempt(server('mariadbd', 'mariadb-server-core', 'mariadb-client-core')),
    tmux: attempt(server('tmux', 'tmux')),
    zsh: attempt(server('zsh', 'zsh')),
    fish: attempt(server('fish', 'fish')),
    python: attempt(python),
  };
  const absent = Object.values(available).filter((reason) => reason !== '');
  if (absent.length > 0 && process.env['CI']) throw new Error(`needed in CI: ${absent.join('; ')}`);
  project.provide('available', available);
  return () => {
    for (const reason of absent) console.warn(`\nSKIPPED, because something is missing: ${reason}\n`);
  };
}
