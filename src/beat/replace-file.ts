import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** A file replaced whole: a crash, or a power cut, leaves the old text or the new one. */
export async function replaceFile(file: string, text: string): Promise<void> {
  const next = `${file}.new`;
  const handle = await open(next, 'w', 0o644);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(next, file);
  await syncFolder(dirname(file));
}

/** The new name survives a power cut, too; not every platform can open a folder. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  try {
    await handle?.sync();
  } catch {
    // The file itself is safe.
  } finally {
    await handle?.close();
  }
}
