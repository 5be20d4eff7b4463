import { readFile, rename } from 'node:fs/promises';

/**
 * What a file holds; undefined where there is none. One that cannot be read as what it should be is kept beside, as
 * `<file>.unreadable`, and told of: nobody starts from half of it, and nothing is thrown away.
 * @param parse throws when the text is not what was written
 */
export async function readOrAside<T>(
  file: string,
  parse: (text: string) => T,
  tell: (error: unknown, keptAs: string) => void,
): Promise<T | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return parse(text);
  } catch (error) {
    const keptAs = `${file}.unreadable`;
    await rename(file, keptAs);
    tell(error, keptAs);
    return undefined;
  }
}
