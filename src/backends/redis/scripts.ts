import { script, type Script } from '../../transports/redis/scripts.ts';

/**
 * Stores results and tells who waits, but never over a success.
 * KEYS: one per result. ARGV: lifetime in seconds (0: for ever), then the values. Reply: how many were stored.
 *
 * The status stands first in what Python and we write, so a look at the beginning is enough for those. Text that is no
 * JSON is YAML: ours begins with the status, PyYAML's has it on a line of its own.
 *
 * Source: `KeyValueStoreBackend._store_result`, `RedisBackend._set`. Differs: reading and writing are one step.
 */
export const STORE: Script = script(
  'STORE',
  `
local stored = 0
for i = 1, #KEYS do
  local head = redis.call('GETRANGE', KEYS[i], 0, 40)
  local success = false
  if string.find(head, '^{"status": ?"') then
    success = string.find(head, '^{"status": ?"SUCCESS"') ~= nil
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
