-- Keep a handoff without heartbeat until a moment.
-- KEYS[1] handoff  HASH
-- KEYS[2] leases  ZSET
-- KEYS[3] request  STRING
-- KEYS[4] outbox  STREAM
-- KEYS[5] beats  HASH
-- ARGV[1] token
-- ARGV[2] now_ms
-- ARGV[3] until_at_ms
-- ARGV[4] reason  text of the operator, perhaps empty
-- ARGV[5] answer_kept_ms
-- RETURN done | unknown | illegal | lost
--   done: the handoff's fields; illegal: state; lost: holder, when the lease ended
-- USES clock, outage, token, keep, tell
-- AGAIN safe: the request is remembered
-- WHY A SCRIPT: whether the token still holds must be known in the step that relies on it.
if redis.call('EXISTS', KEYS[3]) == 1 then return {'done', redis.call('HGETALL', KEYS[1])} end
local refused = refusal(KEYS[1], ARGV[1], ARGV[2], KEYS[5])
if refused then return refused end
keep(KEYS[1], KEYS[2], 'held', ARGV[2], ARGV[3], ARGV[4])
redis.call('HINCRBY', KEYS[1], 'version', 1)
tell(KEYS[4], KEYS[1], 'handoff.held', redis.call('HGET', KEYS[1], 'holder'), ARGV[2])
redis.call('SET', KEYS[3], 'hold', 'PX', ARGV[5])
return {'done', redis.call('HGETALL', KEYS[1])}
