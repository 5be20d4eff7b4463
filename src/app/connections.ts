import type { ResultBackend } from '../backends/backend.ts';
import { openBackend, type CreateBackend } from '../backends/drivers.ts';
import { ImproperlyConfigured, UsageError } from '../errors.ts';
import { resultCodec } from '../protocol/result.ts';
import { CachingBackend } from '../result/caching-backend.ts';
import { RetryingBackend } from '../result/retrying-backend.ts';
import { openTransport } from '../transports/drivers.ts';
import { failover } from '../transports/failover.ts';
import type { DriverContext, Transport } from '../transports/transport.ts';
import { brokerUrls, failoverOrder } from './broker-urls.ts';
import type { Celery } from './celery.ts';
import type { CeleryOptions } from './celery-options.ts';
import type { SettingsObject } from './setting.ts';
import { backendOptions, backendUrl, brokerOptions } from './driver-options.ts';
import { resultBroker } from './result-broker.ts';

/** An app's ways to its broker and its results, each opened when it is first asked for. */
export class Connections {
  readonly #app: Celery;
  readonly #given: Pick<CeleryOptions, 'broker' | 'backend'>;
  #read: Promise<Transport> | undefined;
  #write: Promise<Transport> | undefined;
  #backend: Promise<ResultBackend> | undefined;
  #closed = false;

  /** @param given drivers made by the application itself; they win over the URLs in the settings */
  constructor(app: Celery, given: Pick<CeleryOptions, 'broker' | 'backend'>) {
    this.#app = app;
    this.#given = given;
  }

  /** Whether anything was opened by the settings of now. */
  get used(): boolean {
    return this.#read !== undefined || this.#write !== undefined || this.#backend !== undefined;
  }

  /** See `Celery.transport`. */
  transport(): Promise<Transport> {
    this.#read ??= this.#openTransport('read').catch((error: unknown) => {
      this.#read = undefined;
      throw error;
    });
    return this.#read;
  }

  /** See `Celery.writeTransport`. */
  writeTransport(): Promise<Transport> {
    const { conf } = this.#app;
    if (brokerUrls(conf, 'read').join(';') === brokerUrls(conf, 'write').join(';')) return this.transport();
    this.#write ??= this.#openTransport('write').catch((error: unknown) => {
      this.#write = undefined;
      throw error;
    });
    return this.#write;
  }

  async #openTransport(direction: 'read' | 'write'): Promise<Transport> {
    const { broker } = this.#given;
    if (isTransport(broker)) return broker;
    const { conf } = this.#app;
    const urls = brokerUrls(conf, direction);
    const quorum = this.#app.queues.quorum;
    const open = (url: string): Promise<Transport> =>
      openTransport(url, brokerOptions(conf, url, quorum), this.#driverContext());
    // The nodes of one sentinel group are one address.
    if (urls.length === 1 || urls.every((url) => url.startsWith('sentinel://'))) return open(urls.join(';'));
    return failover(
      await Promise.all(urls.map(open)),
      failoverOrder(urls, this.#app.conf.brokerFailoverStrategy, this.#app.random),
    );
  }

  /** See `Celery.backend`. */
  backend(): Promise<ResultBackend> {
    if (this.#closed) return Promise.reject(new UsageError('the app is closed: results cannot be read any more'));
    this.#backend ??= this.#openBackend().catch((error: unknown) => {
      this.#backend = undefined;
      throw error;
    });
    return this.#backend;
  }

  async #openBackend(): Promise<ResultBackend> {
    const { conf, serializers } = this.#app;
    const given = this.#given.backend;
    if (typeof given === 'object') return given;
    const { resultExpires: expires } = conf;
    const { url, create } = overridden(conf.resultBackend ?? 'disabled://', conf.overrideBackends, (one) =>
      backendUrl(one, conf),
    );
    const options = {
      expiresMs: expires ? expires * 1000 : null,
      transportOptions: backendOptions(url, conf),
      codec: resultCodec(serializers, conf.resultSerializer, conf.resultAcceptContent ?? conf.acceptContent),
      broker: resultBroker(this.#app),
    };
    let backend = await (create ?? openBackend)(url, options, this.#driverContext());
    if (conf.resultBackendAlwaysRetry) {
      backend = new RetryingBackend(backend, {
        maxRetries: conf.resultBackendMaxRetries ?? Infinity,
        baseMs: conf.resultBackendBaseSleepBetweenRetriesMs,
        capMs: conf.resultBackendMaxSleepBetweenRetriesMs,
        ...this.#driverContext(),
      });
    }
    const { resultCacheMax: most } = conf;
    return most < 0 ? backend : new CachingBackend(backend, most || Infinity);
  }

  #driverContext(): DriverContext {
    const { clock, random, log } = this.#app;
    return { clock, random, log };
  }

  /** Closes the backend, unless the application made it. Harmless twice. */
  async close(): Promise<void> {
    this.#closed = true;
    const backend = await this.#backend?.catch(() => undefined);
    this.#backend = undefined;
    if (backend !== undefined && backend !== this.#given.backend) await backend.close();
  }
}

/**
 * Setting `overrideBackends`: what stands behind an alias, a function that makes the backend or the beginning of another
 * URL. Source: `BACKEND_ALIASES` of celery.app.backends, with functions in place of class paths.
 */
function overridden(
  given: string,
  overrides: SettingsObject | null,
  complete: (url: string) => string,
): { readonly url: string; readonly create?: CreateBackend } {
  const alias = /^[^:]+/.exec(given)?.[0] ?? given;
  const override = overrides !== null && Object.hasOwn(overrides, alias) ? overrides[alias] : undefined;
  if (override === undefined) return { url: complete(given) };
  if (typeof override === 'function') return { url: given, create: override as CreateBackend };
  if (typeof override === 'string') return { url: complete(override) };
  throw new ImproperlyConfigured(
    `setting "overrideBackends": expected "${alias}" to be a URL or a function (url, options, context) => backend, got ${typeof override}`,
  );
}

export function isTransport(value: CeleryOptions['broker']): value is Transport {
  return typeof value === 'object' && 'connect' in value;
}
