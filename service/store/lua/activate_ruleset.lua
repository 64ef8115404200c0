-- Let a version decide from now on; the one before is where a rollback leads.
-- KEYS[1] rulesets  HASH
-- KEYS[2] heads  HASH
-- KEYS[3] marks  HASH
-- KEYS[4] trail  LIST
-- KEYS[5] steps  LIST
-- KEYS[6] outbox  STREAM
-- ARGV[1] version
-- ARGV[2] approvals  that the version itself asks for
-- ARGV[3] own_approvals  that the service's own rules ask for, which decide while no version is active
-- ARGV[4] expected_revision  or empty
-- ARGV[5] trail_max
-- ARGV[6] tenant
-- ARGV[7] actor
-- ARGV[8] now_ms
-- RETURN activated | repeated | unknown | moved | standing | unapproved
--   activated, repeated: the revision; moved: the revision; standing: the version that is in rollout
-- USES told_ruleset
-- AGAIN safe: the second time it is active already
-- WHY A SCRIPT: the approval is asked for, and the way back kept, in the very step that they are about.
local at = redis.call('HMGET', KEYS[1], 'revision', 'active', 'candidate', 'mode', 'approvals')
local revision, active, candidate = at[1] or '0', at[2] or '0', at[3] or ''
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return {'unknown'} end
if active == ARGV[1] then return {'repeated', revision} end
if ARGV[4] ~= '' and ARGV[4] ~= revision then return {'moved', revision} end
if candidate ~= '' and candidate ~= ARGV[1] and at[4] == 'rollout' then return {'standing', candidate} end

-- What is active counts too: a version that asks for one person cannot let itself in.
local asked = math.max(tonumber(ARGV[2]), tonumber(at[5] or '1'), active == '0' and tonumber(ARGV[3]) or 1)
if asked > 1 and redis.call('HEXISTS', KEYS[3], 'approved:' .. ARGV[1]) == 0 then return {'unapproved'} end

redis.call('RPUSH', KEYS[4], active)
redis.call('LTRIM', KEYS[4], -tonumber(ARGV[5]), -1)
redis.call('HSET', KEYS[1], 'active', ARGV[1], 'approvals', ARGV[2])
if candidate == ARGV[1] then redis.call('HDEL', KEYS[1], 'candidate', 'mode', 'percent') end
redis.call('HSET', KEYS[3], 'activated:' .. ARGV[1], ARGV[8], 'asked:' .. ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[3], 'rolled_back:' .. ARGV[1])
revision = string.format('%d', redis.call('HINCRBY', KEYS[1], 'revision', 1))
told_ruleset(KEYS[5], KEYS[6], ARGV[6], 'activated', ARGV[1], 'in place of ' .. active, ARGV[7], ARGV[8])
return {'activated', revision}
