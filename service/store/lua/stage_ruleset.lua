-- Make a version the candidate, in shadow or for a share of the conversations, or take it back.
-- KEYS[1] rulesets  HASH
-- KEYS[2] heads  HASH
-- KEYS[3] marks  HASH
-- KEYS[4] steps  LIST
-- KEYS[5] outbox  STREAM
-- ARGV[1] version
-- ARGV[2] mode  shadow, rollout, or withdrawn
-- ARGV[3] percent  of a rollout, else 0
-- ARGV[4] approvals  that the version itself asks for
-- ARGV[5] own_approvals  that the service's own rules ask for, which decide while no version is active
-- ARGV[6] expected_revision  or empty
-- ARGV[7] tenant
-- ARGV[8] actor
-- ARGV[9] now_ms
-- RETURN staged | repeated | unknown | moved | active | standing | unapproved
--   staged, repeated: the revision; moved: the revision; standing: the version that is staged
-- USES told_ruleset
-- AGAIN safe: the second time nothing is left to do
-- WHY A SCRIPT: of two candidates at once each would believe to be the one.
local at = redis.call('HMGET', KEYS[1], 'revision', 'active', 'candidate', 'mode', 'percent', 'approvals')
local revision, active, candidate = at[1] or '0', at[2] or '0', at[3] or ''
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return {'unknown'} end
local withdrawn = ARGV[2] == 'withdrawn'
if withdrawn and candidate == '' then return {'repeated', revision} end
if candidate == ARGV[1] and at[4] == ARGV[2] and at[5] == ARGV[3] then return {'repeated', revision} end
if ARGV[6] ~= '' and ARGV[6] ~= revision then return {'moved', revision} end
if active == ARGV[1] then return {'active'} end
if candidate ~= '' and candidate ~= ARGV[1] then return {'standing', candidate} end

-- A version in rollout decides turns, so it needs whom an activation needs.
local asked = math.max(tonumber(ARGV[4]), tonumber(at[6] or '1'), active == '0' and tonumber(ARGV[5]) or 1)
if ARGV[2] == 'rollout' and asked > 1 and redis.call('HEXISTS', KEYS[3], 'approved:' .. ARGV[1]) == 0 then
  return {'unapproved'}
end

if withdrawn then
  redis.call('HDEL', KEYS[1], 'candidate', 'mode', 'percent')
else
  redis.call('HSET', KEYS[1], 'candidate', ARGV[1], 'mode', ARGV[2], 'percent', ARGV[3])
  redis.call('HDEL', KEYS[3], 'rolled_back:' .. ARGV[1])
end
revision = string.format('%d', redis.call('HINCRBY', KEYS[1], 'revision', 1))
local about = ARGV[2] == 'rollout' and ('rollout ' .. ARGV[3] .. '%') or ARGV[2]
told_ruleset(KEYS[4], KEYS[5], ARGV[7], withdrawn and 'withdrawn' or 'staged', ARGV[1], about, ARGV[8], ARGV[9])
return {'staged', revision}
