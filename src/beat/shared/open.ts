import { hostname } from 'node:os';
import type { Celery } from '../../app/celery.ts';
import { brokerUrls } from '../../app/broker-urls.ts';
import { brokerOptions } from '../../app/driver-options.ts';
import { ImproperlyConfigured } from '../../errors.ts';
import { maskUrl } from '../../runtime/mask-url.ts';
import type { ScheduleStore } from '../schedule-store.ts';
import type { SharedDatabase } from './database.ts';
import { SharedStore } from './store.ts';

const DEFAULT_NAME = 'default';
const SQL = /^(?:postgres(?:ql)?|mysql|mariadb)(?:\+\w+)?:/i;

/**
 * The schedule that several beats share, in Redis (or Valkey), PostgreSQL, MySQL, MariaDB or a SQLite file. Options in the URL's query:
 * `schedule`, for several schedules in one database.
 * @param url `shared`: in the broker's database
 */
export async function openShared(app: Celery, url: string): Promise<ScheduleStore> {
  const address = url === 'shared' ? (brokerUrls(app.conf, 'write')[0] ?? '') : url;
  const { clock, log, random, conf } = app;
  const holder = `${hostname()}:${process.pid}:${random.uuid()}`;
  return new SharedStore(await open(app, address), { holder, leaseMs: conf.beatLease * 1000, clock, log });
}

async function open(app: Celery, url: string): Promise<SharedDatabase> {
  const { address, schedule } = withoutName(url);
  const { clock, log, random, conf } = app;
  if (/^sqlite:/i.test(address)) {
    const { SqliteSchedule } = await import('./sqlite.ts');
    return SqliteSchedule.open(address, schedule, clock);
  }
  if (SQL.test(address)) {
    const { SqlSchedule } = await import('./sql.ts');
    return new SqlSchedule(address, schedule, conf.beatLease * 1000, clock);
  }
  if (/^(?:rediss?|redis\+socket|valkeys?|sentinel):/i.test(address)) {
    const { RedisSchedule } = await import('./redis.ts');
    return new RedisSchedule(address, schedule, brokerOptions(conf, address), { clock, log, random });
  }
  throw new ImproperlyConfigured(
    `beatScheduler: beats can share a schedule in redis://, postgresql://, mysql:// and sqlite://, not in ${JSON.stringify(maskUrl(address))}`,
  );
}

/** Takes `schedule` out of the query; the rest is the driver's. */
function withoutName(url: string): { readonly address: string; readonly schedule: string } {
  const [base = '', query] = url.split('?');
  if (query === undefined) return { address: url, schedule: DEFAULT_NAME };
  const pairs = new URLSearchParams(query);
  const schedule = pairs.get('schedule') ?? DEFAULT_NAME;
  pairs.delete('schedule');
  return { address: pairs.size === 0 ? base : `${base}?${pairs.toString()}`, schedule };
}
