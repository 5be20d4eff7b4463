import { constants } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Replaces a file as a whole: whatever crashes, the old text or the new one is there. The text goes to `<file>.new` first,
 * which may not be a link to somewhere else.
 * @param mode permissions of the file
 */
export async function replaceFile(file: string, text: string, mode: number): Promise<void> {
  const next = `${file}.new`;
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | (constants.O_NOFOLLOW ?? 0);
  const handle = await open(next, flags, mode);
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
