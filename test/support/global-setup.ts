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
/** Another Celery than the newest: `CELERIAC_CELERY=5.2.7 npm test`. CONTRIBUTING.md says what an old one cannot do. */
const CELERY = process.env['CELERIAC_CELERY'] ?? '5.6.*';
const VENV = `${CACHE}${CELERY === '5.6.*' ? 'python' : `python-${CELERY}`}`;
export const PYTHON: string = `${VENV}/bin/python`;
/** What pip would choose for the oldest Celery came out after it and does not go with it. */
const OF_ITS_TIME = {
  'kombu==5.2.4': 'kombu',
  'redis<5': 'redis',
  'amqp<5.3': 'amqp',
  'setuptools<81': 'pkg_resources',
};
/** Packages, and the module by which each is known to be there. */
const PYTHON_PACKAGES: Readonly<Record<string, string>> = {
  [`celery[redis]==${CELERY}`]: 'redis',
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
  ...(CELERY.startsWith('5.2') ? OF_ITS_TIME : {}),
};

const DEBIAN_PACKAGES = [
  'python3-celery',
  'python3-redis',
  'python3-packaging',
  'python3-brotli',
  'python3-ephem',
  'python3-sqlalchemy',
  'python3-psycopg2',
  'python3-pymysql',
  'python3-django-celery-beat',
  'python3-msgpack',
];

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
    rmSync(VENV, { recursive: true, force: true });
    if (!works('python3', '-m', 'venv', VENV)) {
      if (mayInstall()) aptInstall('python3', 'python3-venv');
      if (!works('python3', '-m', 'venv', VENV)) return 'python3 with venv is not installed';
    }
  }
  console.log(`installing Python Celery into ${VENV} …`);
  const pip = spawnSync(
    PYTHON,
    ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...Object.keys(PYTHON_PACKAGES)],
    {
      encoding: 'utf8',
    },
  );
  if (pip.status !== 0 && !usable()) {
    rmSync(VENV, { recursive: true, force: true });
    if (!mayInstall()) return `Python Celery could not be installed: ${pip.stderr.trim().split('\n').at(-1) ?? ''}`;
    console.log('pip has no Celery: Debian’s …');
    aptInstall('python3-venv', ...DEBIAN_PACKAGES);
    // Debian's own Python: another one on the PATH does not see its packages.
    if (!works('/usr/bin/python3', '-m', 'venv', '--system-site-packages', VENV)) return 'no virtual environment';
  }
  return usable() ? '' : 'Python Celery cannot be imported';
}

function celeryVersion(): number[] {
  const text = execFileSync(PYTHON, ['-c', 'import celery; print(celery.__version__)'], { encoding: 'utf8' });
  return text.trim().split('.').map(Number);
}

function attempt(install: () => string): string {
  try {
    return install();
  } catch (error) {
    return String(error);
  }
}

export default function setup(project: TestProject): () => void {
  const needed = {
    redis: attempt(server('redis-server', 'redis-server')),
    rabbitmq: attempt(server('rabbitmq-server', 'rabbitmq-server')),
    postgresql: attempt(server('/usr/lib/postgresql/*/bin/postgres', 'postgresql')),
    mariadb: attempt(server('mariadbd', 'mariadb-server-core', 'mariadb-client-core')),
    tmux: attempt(server('tmux', 'tmux')),
    zsh: attempt(server('zsh', 'zsh')),
    fish: attempt(server('fish', 'fish')),
    python: attempt(python),
  };
  const lacking = Object.values(needed).filter((reason) => reason !== '');
  if (lacking.length > 0 && process.env['CI']) throw new Error(`needed in CI: ${lacking.join('; ')}`);
  const flower = needed.python || works(PYTHON, '-c', 'import flower') ? '' : 'flower is not installed (pip has it)';
  const absent = flower === '' ? lacking : [...lacking, flower];
  project.provide('available', { ...needed, flower } satisfies Available);
  const celery = needed.python === '' ? celeryVersion() : [];
  project.provide('celery', celery);
  return () => {
    for (const reason of absent) console.warn(`\nSKIPPED, because something is missing: ${reason}\n`);
    if (celery.length > 0 && (celery[1] ?? 0) < 6) {
      console.warn(`\nSKIPPED: what Celery ${celery.join('.')} cannot do yet\n`);
    }
  };
}
