-- Take back the last step that decides turns: end a rollout, or let the version before the active one decide again.
-- KEYS[1] rulesets  HASH
-- KEYS[2] marks  HASH
-- KEYS[3] trail  LIST
-- KEYS[4] steps  LIST
-- KEYS[5] outbox  STREAM
-- KEYS[6] request  STRING
-- ARGV[1] expected  the version to take back, or empty
-- ARGV[2] expected_revision  or empty
-- ARGV[3] answer_kept_ms
-- ARGV[4] tenant
-- ARGV[5] actor
-- ARGV[6] now_ms
-- RETURN withdrawn | rolled_back | nothing | moved | repeated
--   withdrawn, rolled_back: the version taken back, the one that decides now; moved: the version that would be taken
--   back; repeated: what was answered, as JSON
-- USES told_ruleset
-- AGAIN safe: the request is remembered with its answer
-- WHY A SCRIPT: two people who take back the same version must not take back two.
local answered = redis.call('GET', KEYS[6])
if answered then return {'repeated', answered} end
local at = redis.call('HMGET', KEYS[1], 'revision', 'active', 'candidate', 'mode', 'approvals')
local active = at[2] or '0'
local in_rollout = at[4] == 'rollout'
local taken = in_rollout and at[3] or active
if (ARGV[1] ~= '' and ARGV[1] ~= taken) or (ARGV[2] ~= '' and ARGV[2] ~= (at[1] or '0')) then
  return {'moved', taken}
end
local now = active
if in_rollout then
  redis.call('HDEL', KEYS[1], 'candidate', 'mode', 'percent')
else
  now = redis.call('RPOP', KEYS[3])
  if not now then return {'nothing'} end
  -- `approvals` never falls: going back must not be the way around the second person. What is active now may ask for
  -- more than what was let in after it.
  local asked = math.max(tonumber(at[5] or '1'), tonumber(redis.call('HGET', KEYS[2], 'asked:' .. now) or '1'))
  redis.call('HSET', KEYS[1], 'active', now, 'approvals', asked)
  redis.call('HSET', KEYS[2], 'activated:' .. now, ARGV[6])
end
redis.call('HSET', KEYS[2], 'rolled_back:' .. taken, ARGV[6])
redis.call('HINCRBY', KEYS[1], 'revision', 1)
told_ruleset(KEYS[4], KEYS[5], ARGV[4], 'rolled_back', taken, now .. ' decides', ARGV[5], ARGV[6])
redis.call('SET', KEYS[6], cjson.encode({ taken, now, in_rollout }), 'PX', ARGV[3])
if in_rollout then return {'withdrawn', taken, now} end
return {'rolled_back', taken, now}
