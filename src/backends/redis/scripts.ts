import { script, type Script } from '../../transports/redis/scripts.ts';

/**
 * Stores results and tells who waits, but never over a success.
 * KEYS: one per result. ARGV: lifetime in seconds (0: for ever), then the values. Reply: how many were stored.
 *
 * The status stands first in what Python and we write, so a look at the beginning is enough for those, in JSON and in
 * MessagePack. Text that is neither is YAML: ours begins with the status, PyYAML's has it on a line of its own.
 *
 * Source: `KeyValueStoreBackend._store_result`, `RedisBackend._set`. Differs: reading and writing are one step.
 */
export const STORE: Script = script(
  'STORE',
  `
local stored = 0
local packedStatus = string.char(166) .. 'status'
local packedSuccess = packedStatus .. string.char(167) .. 'SUCCESS'
for i = 1, #KEYS do
  local head = redis.call('GETRANGE', KEYS[i], 0, 40)
  local success = false
  if string.find(head, '^{"status": ?"') then
    success = string.find(head, '^{"status": ?"SUCCESS"') ~= nil
  elseif (string.find(head, packedStatus, 1, true) or 9) <= 4 then
    success = (string.find(head, packedSuccess, 1, true) or 9) <= 4
  elseif head ~= '' then
    local text = redis.call('GET', KEYS[i])
    local parsed, meta = pcall(cjson.decode, text)
    if parsed then
      success = type(meta) == 'table' and meta.status == 'SUCCESS'
    else
      success = string.find(text, '^"?status"?: "?SUCCESS"?\\n') ~= nil
        or string.find(text, '\\nstatus: SUCCESS\\n') ~= nil
    end
  end
  if not success then
    local value = ARGV[i + 1]
    if ARGV[1] == '0' then
      redis.call('SET', KEYS[i], value)
    else
      redis.call('SETEX', KEYS[i], ARGV[1], value)
    end
    redis.call('PUBLISH', KEYS[i], value)
    stored = stored + 1
  end
end
return stored`,
);

/*
 * Chords. KEYS: .j, .t, .s, ours. ARGV[1]: lifetime in seconds (0: for ever).
 * Ours is a hash: `owner` has the id of the member that completed the header, `claim` which run of it sends the body and
 * `until` for how long (milliseconds of the server), `ended` that the body is out, `+<id>` that a member joined later.
 */

const KEEP = `
local function keep(...)
  if ARGV[1] ~= '0' then
    for _, key in ipairs({...}) do redis.call('EXPIRE', key, ARGV[1]) end
  end
end
`;

/** ARGV: lifetime, size. */
export const BEGIN_CHORD: Script = script(
  'BEGIN_CHORD',
  `${KEEP}
if redis.call('HGET', KEYS[4], 'ended') then redis.call('DEL', KEYS[4]) end
redis.call('SET', KEYS[3], ARGV[2])
keep(KEYS[3])
redis.call('PUBLISH', KEYS[3], ARGV[2])
return redis.status_reply('OK')`,
);

/**
 * ARGV: lifetime, task id, place or +inf, member, what all members of this task begin with, 1 for a success, 1 for
 * ordered, claim, its milliseconds, what a success of this task begins with. Reply: nil, 1 where another run of the owner has the claim, or all members for whom
 * has to send the body.
 *
 * A member counts once, also when the task ran again and gave something else: a success replaces what is no success,
 * nothing replaces a success.
 *
 * Source: `RedisBackend.on_chord_part_return`. Differs: one step, and repeatable.
 */
export const ADD_TO_CHORD: Script = script(
  'ADD_TO_CHORD',
  `${KEEP}
if redis.call('HGET', KEYS[4], 'ended') then return false end
local ordered = ARGV[7] == '1'
local place = ARGV[3]
local present = ordered and redis.call('ZRANGEBYSCORE', KEYS[1], place, place) or redis.call('LRANGE', KEYS[1], 0, -1)
local prefix = ARGV[5]
local counted = false
for _, member in ipairs(present) do
  if string.sub(member, 1, #prefix) == prefix then
    if ARGV[6] == '1' and string.sub(member, 1, #ARGV[10]) ~= ARGV[10] then
      if ordered then redis.call('ZREM', KEYS[1], member) else redis.call('LREM', KEYS[1], 1, member) end
    else
      counted = true
    end
  end
end
if not counted then
  if ordered then redis.call('ZADD', KEYS[1], place, ARGV[4]) else redis.call('RPUSH', KEYS[1], ARGV[4]) end
end
keep(KEYS[1], KEYS[2], KEYS[3])
local size = redis.call('GET', KEYS[3])
if not size then return false end
local ready = ordered and redis.call('ZCARD', KEYS[1]) or redis.call('LLEN', KEYS[1])
if ready < tonumber(size) + tonumber(redis.call('GET', KEYS[2]) or '0') then return false end
redis.call('HSETNX', KEYS[4], 'owner', ARGV[2])
keep(KEYS[4])
if redis.call('HGET', KEYS[4], 'owner') ~= ARGV[2] then return false end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local claim = redis.call('HMGET', KEYS[4], 'claim', 'until')
if claim[1] and claim[1] ~= ARGV[8] and now < tonumber(claim[2]) then return 1 end
redis.call('HSET', KEYS[4], 'claim', ARGV[8], 'until', string.format('%.0f', now + ARGV[9]))
return ordered and redis.call('ZRANGE', KEYS[1], 0, -1) or redis.call('LRANGE', KEYS[1], 0, -1)`,
);

/** ARGV: lifetime, id of the new member, how many it counts for. */
export const GROW_CHORD: Script = script(
  'GROW_CHORD',
  `${KEEP}
if redis.call('HSETNX', KEYS[4], '+' .. ARGV[2], ARGV[3]) == 1 then redis.call('INCRBY', KEYS[2], ARGV[3]) end
keep(KEYS[2], KEYS[4])
return redis.status_reply('OK')`,
);

/** Late duplicates find that it has ended. Source: as above; Differs: a chord that failed is cleaned up too. */
export const END_CHORD: Script = script(
  'END_CHORD',
  `${KEEP}
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[4], 'ended', '1')
keep(KEYS[4])
return redis.status_reply('OK')`,
);
