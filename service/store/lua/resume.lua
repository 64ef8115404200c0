-- End a hold: the lease counts again.
-- KEYS[1] handoff  HASH
-- KEYS[2] leases  ZSET
-- KEYS[3] request  STRING
-- KEYS[4] outbox  STREAM
-- KEYS[5] beats  HASH
-- ARGV[1] token
-- ARGV[2] now_ms
-- ARGV[3] lease_expires_at_ms
-- ARGV[4] answer_kept_ms
-- RETURN done | unknown | illegal | lost
--   done: the handoff's fields; illegal: state; lost: holder, when the lease ended
-- USES clock, outage, token, keep, tell
-- AGAIN safe: the request is remembered
-- WHY A SCRIPT: whether the token still holds must be known in the step that relies on it.
if redis.call('EXISTS', KEYS[3]) == 1 then return {'done', redis.call('HGETALL', KEYS[1])} end
local refused = refusal(KEYS[1], ARGV[1], ARGV[2], KEYS[5])
if refused then return refused end
local of = redis.call('HMGET', KEYS[1], 'state', 'holder')
if of[1] ~= 'held' then return {'illegal', of[1]} end
keep(KEYS[1], KEYS[2], 'leased', ARGV[2], ARGV[3], '')
redis.call('HINCRBY', KEYS[1], 'version', 1)
tell(KEYS[4], KEYS[1], 'handoff.resumed', of[2], ARGV[2])
redis.call('SET', KEYS[3], 'resume', 'PX', ARGV[4])
return {'done', redis.call('HGETALL', KEYS[1])}
