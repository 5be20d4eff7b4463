import { arch, release, type } from 'node:os';
import { configDifferences } from '../app/config.ts';
import type { Celery } from '../app/celery.ts';
import type { Transport } from '../transports/transport.ts';
import { maskUrl } from '../runtime/mask-url.ts';
import { safeRepr } from '../protocol/safe-repr.ts';
import { VERSION } from '../version.ts';

/** What `report` tells about an app: versions, platform, addresses without passwords, changed settings. */
export function reportText(app: Celery, transport: Transport): string {
  const settings = configDifferences(app.conf).map(({ name, here }) => `${name}: ${safeRepr(here)}`);
  return [
    '',
    `software -> celeriac:${VERSION} node:${process.versions.node}`,
    `platform -> system:${type()} arch:${arch()}`,
    `            kernel version:${release()}`,
    `preset   -> ${app.conf.preset}`,
    `settings -> transport:${transport.name} (${transport.displayUrl}) results:${maskUrl(app.conf.resultBackend ?? 'disabled')}`,
    '',
    ...settings,
    '',
  ].join('\n');
}
