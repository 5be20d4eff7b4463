import { Link } from '../../backends/redis/link.ts';
import { OperationalError } from '../../errors.ts';
import { maskUrl } from '../../runtime/mask-url.ts';
import { redisSettings } from '../../transports/redis/options.ts';
import { script, type Script } from '../../transports/redis/scripts.ts';
import { parseRedisUrl } from '../../transports/redis/url.ts';
import type { DriverContext } from '../../transports/transport.ts';
import type { Edit } from '../edits.ts';
import type { LoadContext, RunState } from '../schedule-store.ts';
import { fenceOf, type Shared, type SharedChanges, type SharedDatabase } from './database.ts';

/*
 * Keys, all with the prefix celeriac:beat:{<schedule>}:
 * lease      text: the fence; expires with the lease
 * epoch      counter of leases
 * states     hash: entry → JSON of its run state; context: JSON of the settings they were made with. Kept for 90 days
 * edits      hash: entry → JSON of its edit; version counts its changes. Kept until they are taken back
 */

/** Short: the owner's loop is its own retry, and a lease does not wait. */
const RETRY = { maxRetries: 1, startMs: 0, stepMs: 100, maxMs: 100 } as const;
const STATES_TTL_MS = 90 * 86_400_000;
/** Further tries when another editor came in between. */
const MOST_TRIES = 100;

/** KEYS: lease, epoch. ARGV: holder, ms. Reply: the epoch, or 0 when another holds it. */
const CAMPAIGN: Script = script(
  'BEAT_CAMPAIGN',
  `
local held = redis.call('GET', KEYS[1])
if not held then
  local epoch = redis.call('INCR', KEYS[2])
  redis.call('SET', KEYS[1], epoch .. ':' .. ARGV[1], 'PX', ARGV[2])
  return epoch
end
local epoch, holder = string.match(held, '^(%d+):(.*)$')
if holder ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return tonumber(epoch)`,
);

/** KEYS: lease. ARGV: fence. */
const RESIGN: Script = script(
  'BEAT_RESIGN',
  `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`,
);

/**
 * KEYS: lease, states, context. ARGV: fence, context, TTL in ms, number of entries that are gone, their names, then
 * pairs of entry and state. Reply: 1, or 0 when the lease is another one.
 */
const SAVE: Script = script(
  'BEAT_SAVE',
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local gone = tonumber(ARGV[4])
for i = 5, 4 + gone do redis.call('HDEL', KEYS[2], ARGV[i]) end
for i = 5 + gone, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
return 1`,
);

/** KEYS: edits, version. ARGV: entry, text that must be there, new text; empty texts: none. Reply: 1, or 0 to try again. */
const CHANGE: Script = script(
  'BEAT_CHANGE',
  `
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
redis.call('INCR', KEYS[2])
return 1`,
);

/** A schedule in Redis or Valkey. */
export class RedisSchedule implements SharedDatabase {
  readonly name: string;
  readonly #link: Link;
  readonly #prefix: string;

  constructor(url: string, schedule: string, options: Readonly<Record<string, unknown>>, context: DriverContext) {
    const settings = redisSettings(options);
    this.#link = new Link(parseRedisUrl(url, settings), settings, RETRY, context);
    this.#prefix = `${settings.globalKeyprefix}celeriac:beat:{${schedule}}:`;
    this.name = `${maskUrl(url)} (${schedule})`;
  }

  #key(name: string): string {
    return this.#prefix + name;
  }

  #run(what: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const named = keys.map((key) => this.#key(key));
    return this.#link.retry((socket) => socket.run(what, named, args));
  }

  #call(command: string, key: string, ...args: string[]): Promise<unknown> {
    return this.#link.retry((socket) => socket.call(command, this.#key(key), ...args));
  }

  async campaign(holder: string, ttlMs: number): Promise<string | undefined> {
    const epoch = Number(await this.#run(CAMPAIGN, ['lease', 'epoch'], [holder, Math.round(ttlMs)]));
    return epoch === 0 ? undefined : fenceOf(epoch, holder);
  }

  async resign(fence: string): Promise<void> {
    await this.#run(RESIGN, ['lease'], [fence]);
  }

  async read(): Promise<Shared> {
    const [states, edits, context] = await Promise.all([
      this.#hash<RunState>('states'),
      this.#hash<Edit>('edits'),
      this.#call('GET', 'context'),
    ]);
    return { states, edits, context: context === null ? undefined : (JSON.parse(context as string) as LoadContext) };
  }

  async #hash<T>(key: string): Promise<Map<string, T>> {
    const flat = (await this.#call('HGETALL', key)) as string[];
    const map = new Map<string, T>();
    for (let i = 0; i < flat.length; i += 2) map.set(flat[i] as string, JSON.parse(flat[i + 1] as string) as T);
    return map;
  }

  async version(): Promise<number> {
    return Number((await this.#call('GET', 'version')) ?? 0);
  }

  async save(fence: string, { context, states, gone }: SharedChanges): Promise<boolean> {
    const pairs = [...states].flatMap(([name, state]) => [name, JSON.stringify(state)]);
    const args = [fence, JSON.stringify(context), STATES_TTL_MS, gone.length, ...gone, ...pairs];
    return (await this.#run(SAVE, ['lease', 'states', 'context'], args)) === 1;
  }

  async change(name: string, update: (edit: Edit | undefined) => Edit | undefined): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const before = ((await this.#call('HGET', 'edits', name)) ?? '') as string;
      const edit = update(before === '' ? undefined : (JSON.parse(before) as Edit));
      const after = edit === undefined ? '' : JSON.stringify(edit);
      if ((await this.#run(CHANGE, ['edits', 'version'], [name, before, after])) === 1) return;
    }
    throw new OperationalError(`the entry "${name}" is being changed by too many at a time`, { recoverable: true });
  }

  async close(): Promise<void> {
    this.#link.close();
  }
}
