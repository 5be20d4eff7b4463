import { createHash } from 'node:crypto';

/*
 * What must happen at once on the server. Numbers that are times are Unix time in seconds from the server's clock.
 *
 * fence   a settling or renewing command names the score that its holder wrote; another score means another holder
 *
 * Under memory pressure the server refuses commands that may grow, but only as the first write of a script:
 * every script that frees memory, or must not fail, starts with a removal.
 */

export interface Script {
  readonly name: string;
  readonly text: string;
  readonly sha: string;
}

export function script(name: string, text: string): Script {
  return { name, text, sha: createHash('sha1').update(text).digest('hex') };
}

const NOW = `
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', tonumber(time[2]))
`;

/**
 * Takes messages that are ready and registers them as kombu does, in one step: nothing is ever in neither place.
 *
 * KEYS: unacked_index, unacked, owned, workers; ready keys, steps outer and queues inner; a quarantine list per queue
 * ARGV: connection id, lease in seconds, most bytes, restores prefix, TTL of a quarantine in ms, number of queues;
 *       per queue: most messages, where those of other queues count too unless 1 follows: consumed without acknowledgement
 * Reply: now, { number of a ready key, error, … }, then per message: number of its ready key, tag, text, restores.
 *
 * Most messages end in the members kombu and we write last; a pattern reads those, and cjson the rest.
 */
export const CLAIM: Script = script(
  'CLAIM',
  `${NOW}
redis.call('ZREM', KEYS[4], '')
redis.call('ZADD', KEYS[4], tonumber(time[1]) + tonumber(ARGV[2]), ARGV[1])
local room, restores, queues = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[6])
local tail = '^"delivery_info": ?{"exchange": ?"([^"\\\\]*)", ?"routing_key": ?"([^"\\\\]*)"}, ?"priority": ?%-?%d+, ?"body_encoding": ?"base64", ?"delivery_tag": ?"([%w%-]+)"}}$'

local function read(text)
  if string.find(text, '^{"body": ?"') then
    local at = string.find(text, '"delivery_info"', -600, true)
    while at do
      local exchange, key, tag = string.match(text, tail, at)
      if tag then return tag, '"' .. exchange .. '", "' .. key .. '"', text, false end
      at = string.find(text, '"delivery_info"', at + 1, true)
    end
  end
  local parsed, message = pcall(cjson.decode, text)
  if not parsed or type(message) ~= 'table' then return nil end
  local properties = message.properties
  if type(properties) ~= 'table' then return nil end
  local info, tag = properties.delivery_info, properties.delivery_tag
  if type(info) ~= 'table' or type(info.exchange) ~= 'string' or type(info.routing_key) ~= 'string' then return nil end
  if type(tag) == 'number' then tag = string.format('%.0f', tag) end
  if type(tag) ~= 'string' or tag == '' then return nil end
  local again = info.redelivered == true
  if message.headers == nil then
    text = string.gsub(text, '{', '{"headers": {}, ', 1)
  elseif message.headers == cjson.null then
    text = string.gsub(text, '"headers"%s*:%s*null', '"headers": {}', 1)
    local repaired, copy = pcall(cjson.decode, text)
    if not repaired or type(copy.headers) ~= 'table' then return nil end
  elseif type(message.headers) ~= 'table' then
    return nil
  else
    again = again or message.headers.redelivered == true
  end
  return tag, cjson.encode(info.exchange) .. ', ' .. cjson.encode(info.routing_key), text, again
end

local faults, reply = {}, { now, 0 }
local index, records, owned = {}, {}, {}
local left, forgetful, taken = {}, {}, 0
for q = 1, queues do
  left[q] = tonumber(ARGV[5 + 2 * q])
  forgetful[q] = ARGV[6 + 2 * q] == '1'
end
local steps = (#KEYS - 4 - queues) / queues
for step = 0, steps - 1 do
  local ready = {}
  for q = 1, queues do ready[q] = true end
  local some = true
  while some and room > 0 do
    some = false
    for q = 1, queues do
      if ready[q] and left[q] - (forgetful[q] and 0 or taken) > 0 and room > 0 then
        local at = 4 + step * queues + q
        local text = redis.pcall('RPOP', KEYS[at])
        if type(text) == 'table' then
          faults[#faults + 1] = at - 5
          faults[#faults + 1] = text.err
          ready[q], left[q] = false, 0
        elseif not text then
          ready[q] = false
        else
          some = true
          local tag, to, kept, again = read(text)
          if not tag then
            local quarantine = KEYS[#KEYS - queues + q]
            redis.call('LPUSH', quarantine, text)
            redis.call('LTRIM', quarantine, 0, 999)
            redis.call('PEXPIRE', quarantine, ARGV[5])
            faults[#faults + 1] = at - 5
            faults[#faults + 1] = 'QUARANTINED'
          else
            if forgetful[q] then left[q] = left[q] - 1 else taken = taken + 1 end
            room = room - #kept
            if not forgetful[q] then
              index[#index + 1] = now
              index[#index + 1] = tag
              records[#records + 1] = tag
              records[#records + 1] = '[' .. kept .. ', ' .. to .. ']'
              owned[#owned + 1] = tag
              owned[#owned + 1] = KEYS[at]
            end
            reply[#reply + 1] = at - 5
            reply[#reply + 1] = tag
            reply[#reply + 1] = kept
            reply[#reply + 1] = again and tonumber(redis.call('GET', restores .. tag) or 0) or 0
          end
        end
      end
    end
  end
end
if #index > 0 then
  redis.call('ZADD', KEYS[1], unpack(index))
  redis.call('HSET', KEYS[2], unpack(records))
  redis.call('HSET', KEYS[3], unpack(owned))
end
reply[2] = faults
return reply`,
);

/**
 * Forgets messages that their holder has finished with.
 * KEYS: unacked_index, unacked, owned. ARGV: pairs of tag and score. Reply: positions of those with another holder.
 */
export const ACK: Script = script(
  'ACK',
  `
local lost, tags, all = {}, {}, {}
for i = 1, #ARGV, 2 do
  all[#all + 1] = ARGV[i]
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) == tonumber(ARGV[i + 1]) then
    tags[#tags + 1] = ARGV[i]
  else
    lost[#lost + 1] = (i - 1) / 2
  end
end
redis.call('HDEL', KEYS[3], unpack(all))
if #tags > 0 then
  redis.call('ZREM', KEYS[1], unpack(tags))
  redis.call('HDEL', KEYS[2], unpack(tags))
end
return lost`,
);

/**
 * Makes held messages young again, so that no peer's sweep finds them.
 * KEYS: unacked_index. ARGV: pairs of tag and score. Reply: now, then positions of those with another holder.
 */
export const RENEW: Script = script(
  'RENEW',
  `${NOW}
redis.call('ZREM', KEYS[1], '')
local reply, index = { now }, {}
for i = 1, #ARGV, 2 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) == tonumber(ARGV[i + 1]) then
    index[#index + 1] = now
    index[#index + 1] = ARGV[i]
  else
    reply[#reply + 1] = (i - 1) / 2
  end
end
if #index > 0 then redis.call('ZADD', KEYS[1], 'XX', unpack(index)) end
return reply`,
);

/**
 * The regular errand of a consuming connection: says that it lives, moves delayed messages that are due into their lists,
 * and looks whether a sweep would find something.
 *
 * KEYS: workers, unacked_index, delayed, delayed messages, then the owned hashes of the connections that live
 * ARGV: lease in seconds, TTL in ms, visibility timeout in seconds, most delayed messages, then their ids
 * Reply: delayed messages moved, seconds until the next is due (empty text: none), 1 if a holder is dead, 1 if a message
 *        has expired.
 */
export const TICK: Script = script(
  'TICK',
  `${NOW}
redis.call('ZREM', KEYS[1], '')
for i = 5, #ARGV do redis.call('ZADD', KEYS[1], tonumber(time[1]) + tonumber(ARGV[1]), ARGV[i]) end
for i = 5, #KEYS do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local tags = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, ARGV[4])
for _, tag in ipairs(tags) do
  local stored = redis.call('HGET', KEYS[4], tag)
  redis.call('ZREM', KEYS[3], tag)
  redis.call('HDEL', KEYS[4], tag)
  local at = stored and string.find(stored, '\\0', 1, true)
  if at then redis.call('LPUSH', string.sub(stored, 1, at - 1), string.sub(stored, at + 1)) end
end
local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
return {
  #tags,
  first[2] and tostring(tonumber(first[2]) - tonumber(now)) or '',
  #redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'LIMIT', 0, 1),
  #redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', tonumber(now) - tonumber(ARGV[3]), 'LIMIT', 0, 1)
}`,
);

/**
 * Whether a message still has this holder, who lives.
 * KEYS: workers, unacked_index. ARGV: lease in seconds, connection id, tag, score. Reply: 1 or 0.
 */
export const HOLD: Script = script(
  'HOLD',
  `${NOW}
redis.call('ZREM', KEYS[1], '')
redis.call('ZADD', KEYS[1], tonumber(time[1]) + tonumber(ARGV[1]), ARGV[2])
local score = redis.call('ZSCORE', KEYS[2], ARGV[3])
return score and tonumber(score) == tonumber(ARGV[4]) and 1 or 0`,
);

/** Strikes a connection off. KEYS: workers, owned. ARGV: connection id. Its owned hash stays while it is not empty. */
export const LEAVE: Script = script(
  'LEAVE',
  `
if redis.call('HLEN', KEYS[2]) == 0 then redis.call('ZREM', KEYS[1], ARGV[1]) end
return 1`,
);

/**
 * Reads what a connection holds that has stopped living.
 * KEYS: workers, unacked_index, unacked. ARGV: prefix of owned hashes, most messages, and the holder that is meant, or
 *       empty text for any that is dead.
 * Reply: false, or the id, then per message: tag, score, ready key, record.
 */
export const DEAD: Script = script(
  'DEAD',
  `${NOW}
local dead = ARGV[3]
if dead == '' then
  dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'LIMIT', 0, 1)[1]
else
  local lease = redis.call('ZSCORE', KEYS[1], dead)
  if not lease or tonumber(lease) > tonumber(now) then dead = nil end
end
if not dead then return false end
local owned = ARGV[1] .. dead
local cursor, page = '0', {}
repeat -- the places it looks at first are empty once their messages were put back
  local scanned = redis.call('HSCAN', owned, cursor, 'COUNT', ARGV[2])
  cursor, page = scanned[1], scanned[2]
until #page > 0 or cursor == '0'
if redis.call('HLEN', owned) == 0 then
  redis.call('ZREM', KEYS[1], dead)
  redis.call('DEL', owned)
end
local reply = { dead }
for i = 1, math.min(#page, 2 * tonumber(ARGV[2])), 2 do
  local score = redis.call('ZSCORE', KEYS[2], page[i])
  local record = redis.call('HGET', KEYS[3], page[i])
  if score and record then
    reply[#reply + 1] = page[i]
    reply[#reply + 1] = score
    reply[#reply + 1] = page[i + 1]
    reply[#reply + 1] = record
  else
    redis.call('HDEL', owned, page[i])
  end
end
return reply`,
);

/**
 * A holder whose process is gone: its lease is over at once.
 * KEYS: workers. ARGV: its id. Reply: 1, or 0 where it is not known any more.
 */
export const CONDEMN: Script = script(
  'CONDEMN',
  `if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], 'XX', 0, ARGV[1])
return 1`,
);

/**
 * Reads what has been held for longer than the visibility timeout, newest first as kombu does.
 * KEYS: unacked_index, unacked. ARGV: timeout in seconds, offset, most messages. Reply: per message tag, score, record.
 */
export const EXPIRED: Script = script(
  'EXPIRED',
  `${NOW}
local page = redis.call('ZREVRANGEBYSCORE', KEYS[1], tonumber(now) - tonumber(ARGV[1]), 0, 'WITHSCORES', 'LIMIT', ARGV[2], ARGV[3])
local reply = {}
for i = 1, #page, 2 do
  local record = redis.call('HGET', KEYS[2], page[i])
  if record then
    reply[#reply + 1] = page[i]
    reply[#reply + 1] = page[i + 1]
    reply[#reply + 1] = record
  else
    redis.call('ZREM', KEYS[1], page[i])
  end
end
return reply`,
);

/**
 * Puts held messages back where they are read from.
 * KEYS: unacked_index, unacked, owned, workers, then targets.
 * ARGV: RPUSH (served next) or LPUSH (served last), id of a holder that must be dead or empty text, prefix and TTL in ms
 *       of the restores counter or empty text; per message: tag, score, text, number of targets, positions in KEYS
 * Reply: how many were put back.
 */
export const RESTORE: Script = script(
  'RESTORE',
  `${NOW}
local done = 0
if ARGV[2] ~= '' then
  local lease = redis.call('ZSCORE', KEYS[4], ARGV[2])
  if lease and tonumber(lease) > tonumber(now) then return 0 end
end
local i = 5
while i <= #ARGV do
  local tag, text, targets = ARGV[i], ARGV[i + 2], tonumber(ARGV[i + 3])
  local score = redis.call('ZSCORE', KEYS[1], tag)
  redis.call('HDEL', KEYS[3], tag)
  if score and tonumber(score) == tonumber(ARGV[i + 1]) then
    redis.call('ZREM', KEYS[1], tag)
    redis.call('HDEL', KEYS[2], tag)
    for t = 1, targets do redis.call(ARGV[1], KEYS[tonumber(ARGV[i + 3 + t])], text) end
    if ARGV[3] ~= '' then
      redis.call('INCR', ARGV[3] .. tag)
      redis.call('PEXPIRE', ARGV[3] .. tag, ARGV[4])
    end
    done = done + 1
  end
  i = i + 4 + targets
end
return done`,
);

/**
 * Sets aside a held message that nobody can read.
 * KEYS: unacked_index, unacked, owned, quarantine. ARGV: tag, score, text, TTL in ms.
 */
export const QUARANTINE: Script = script(
  'QUARANTINE',
  `
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('LPUSH', KEYS[4], ARGV[3])
redis.call('LTRIM', KEYS[4], 0, 999)
redis.call('PEXPIRE', KEYS[4], ARGV[4])
return 1`,
);

/**
 * Keeps messages until they are due.
 * KEYS: delayed, delayed messages. ARGV per message: tag, delay in seconds, ready key, text.
 */
export const DELAY: Script = script(
  'DELAY',
  `${NOW}
for i = 1, #ARGV, 4 do
  redis.call('ZADD', KEYS[1], string.format('%.6f', tonumber(now) + tonumber(ARGV[i + 1])), ARGV[i])
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2] .. '\\0' .. ARGV[i + 3])
end
return 1`,
);

/** Puts a message into a list unless it was put there before. KEYS: the mark, the ready key. ARGV: ms, text. */
export const ONCE: Script = script(
  'ONCE',
  `if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return redis.call('LPUSH', KEYS[2], ARGV[2]) end return 0`,
);

/** Deletes a lock only while it is ours. KEYS: the lock. ARGV: our token. */
export const UNLOCK: Script = script(
  'UNLOCK',
  `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`,
);
