import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { ImproperlyConfigured } from '../errors.ts';

/** Never holds an application's tasks. */
const SKIPPED: ReadonlySet<string> = new Set(['node_modules', '.git', '.celeriac']);

/**
 * Files that a glob matches, sorted, as absolute paths. `*` and `?` stay within a name, `**` crosses folders,
 * `{a,b}` is one of several.
 * @throws {ImproperlyConfigured} when the folder it begins with does not exist or cannot be read
 */
export async function findFiles(glob: string, cwd: string): Promise<string[]> {
  const parts = glob.split(/[\\/]/);
  const firstPattern = parts.findIndex((part) => /[*?{]/.test(part));
  if (firstPattern < 0) return [resolve(cwd, glob)];
  const base = resolve(cwd, parts.slice(0, firstPattern).join('/') || (glob.startsWith('/') ? '/' : '.'));
  const pattern = globPattern(parts.slice(firstPattern).join('/'));
  const found: string[] = [];
  const walk = async (folder: string, below: string): Promise<void> => {
    for (const entry of await entriesOf(folder, glob)) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!SKIPPED.has(entry.name)) await walk(join(folder, entry.name), path);
      } else if (pattern.test(path)) {
        found.push(base + sep + path.replaceAll('/', sep));
      }
    }
  };
  await walk(base, '');
  return found.sort();
}

async function entriesOf(folder: string, glob: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? (cause as Error).message})`;
    throw new ImproperlyConfigured(`discover "${glob}": the folder ${folder} ${why}`, { cause });
  }
}

function globPattern(glob: string): RegExp {
  const source = glob.replace(
    /\*\*\/|\*\*|\*|\?|\{([^{}]*)\}|[.+^$()|[\]\\]/g,
    (token, options: string | undefined) => {
      if (token === '**/') return '(?:.*/)?';
      if (token === '**') return '.*';
      if (token === '*') return '[^/]*';
      if (token === '?') return '[^/]';
      if (options !== undefined)
        return `(?:${options
          .split(',')
          .map((one) => globPattern(one).source.slice(1, -1))
          .join('|')})`;
      return `\\${token}`;
    },
  );
  return new RegExp(`^${source}$`);
}
