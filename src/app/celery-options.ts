import type { ResultBackend } from '../backends/backend.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Random } from '../runtime/random.ts';
import type { Transport } from '../transports/transport.ts';
import type { ConfigInput } from './config.ts';

/** An app's settings, and the parts that can be put in from outside. */
export type CeleryOptions = ConfigInput & {
  /** Name of the project, for people. */
  readonly main?: string;
  /** Broker URL, or several; a transport of your own. @default the embedded `sqlite://` */
  readonly broker?: string | readonly string[] | Transport;
  /** Result backend URL; a backend of your own, which stays open when the app closes. */
  readonly backend?: string | ResultBackend;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
  /** Read for overrides such as `CELERY_BROKER_URL`. @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>;
};
