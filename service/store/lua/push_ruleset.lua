-- Keep rule files as a new version, or find the version that they are already.
-- KEYS[1] rulesets  HASH
-- KEYS[2] heads  HASH
-- KEYS[3] texts  HASH
-- KEYS[4] names  HASH
-- KEYS[5] marks  HASH
-- KEYS[6] trail  LIST
-- KEYS[7] steps  LIST
-- KEYS[8] outbox  STREAM
-- ARGV[1] digest  of names and texts of all files
-- ARGV[2] head  JSON
-- ARGV[3] files  compressed
-- ARGV[4] versions_max
-- ARGV[5] tenant
-- ARGV[6] actor
-- ARGV[7] now_ms
-- RETURN pushed | repeated
--   pushed, repeated: the version
-- USES told_ruleset
-- AGAIN safe: the second time it finds its own version
-- WHY A SCRIPT: two pushes at once must not get one number, and one text not two.
local known = redis.call('HGET', KEYS[4], ARGV[1])
if known then return {'repeated', known} end

-- Past the limit the oldest goes, unless turns are decided by it or a rollback may lead there.
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then
  local at = redis.call('HMGET', KEYS[1], 'active', 'candidate', 'first')
  local kept = { [at[1] or ''] = true, [at[2] or ''] = true }
  for _, version in ipairs(redis.call('LRANGE', KEYS[6], 0, -1)) do kept[version] = true end
  local oldest = tonumber(at[3] or '1')
  while kept[string.format('%d', oldest)] or redis.call('HEXISTS', KEYS[2], oldest) == 0 do oldest = oldest + 1 end
  redis.call('HDEL', KEYS[2], oldest)
  redis.call('HDEL', KEYS[3], oldest)
  redis.call('HDEL', KEYS[4], redis.call('HGET', KEYS[5], 'digest:' .. oldest) or '')
  for _, mark in ipairs({ 'digest:', 'approved:', 'activated:', 'rolled_back:' }) do
    redis.call('HDEL', KEYS[5], mark .. oldest)
  end
  if oldest == tonumber(at[3] or '1') then redis.call('HSET', KEYS[1], 'first', oldest + 1) end
end

local version = string.format('%d', redis.call('HINCRBY', KEYS[1], 'last', 1))
redis.call('HSET', KEYS[2], version, ARGV[2])
redis.call('HSET', KEYS[3], version, ARGV[3])
redis.call('HSET', KEYS[4], ARGV[1], version)
redis.call('HSET', KEYS[5], 'digest:' .. version, ARGV[1])
told_ruleset(KEYS[7], KEYS[8], ARGV[5], 'pushed', version, '', ARGV[6], ARGV[7])
return {'pushed', version}
