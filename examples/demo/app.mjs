// The app that the demo's workers and its sender share.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Celery } from 'celeriac';

/** @param {string} url of the embedded broker, which is also the result backend */
export function createApp(url) {
  const app = new Celery({ broker: url, backend: url });
  const measure = app.task('file.measure', async (path) => {
    const content = await readFile(path);
    let lines = 0;
    for (let at = content.indexOf(10); at >= 0; at = content.indexOf(10, at + 1)) lines++;
    return { path, sha256: createHash('sha256').update(content).digest('hex'), bytes: content.length, lines };
  });
  return { app, measure };
}
