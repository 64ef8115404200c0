-- Put a handoff back where it waited.
-- KEYS[1] handoff  HASH
-- KEYS[2] waiting  ZSET of its queue
-- KEYS[3] leases  ZSET
-- KEYS[4] deadlines  ZSET
-- KEYS[5] request  STRING
-- KEYS[6] outbox  STREAM
-- KEYS[7] in_class  ZSET in which it waits
-- KEYS[8] classes  ZSET
-- KEYS[9] loads  HASH
-- KEYS[10] beats  HASH
-- ARGV[1] token
-- ARGV[2] now_ms
-- ARGV[3] version  of the handoff that was thought with
-- ARGV[4] answer_kept_ms
-- ARGV[5..] fields  of the handoff as it waits again: name, value, name, value
-- RETURN done | unknown | illegal | lost | moved
--   done: the handoff's fields; illegal: state; lost: holder, when the lease ended; moved: think again
-- USES clock, outage, token, class, load, wait_again, tell
-- AGAIN safe: the request is remembered
-- WHY A SCRIPT: a handoff must at every moment be either held or waiting, never neither.
if redis.call('EXISTS', KEYS[5]) == 1 then return {'done', redis.call('HGETALL', KEYS[1])} end
local refused = refusal(KEYS[1], ARGV[1], ARGV[2], KEYS[10])
if refused then return refused end
local of = redis.call('HMGET', KEYS[1], 'version', 'holder')
if of[1] ~= ARGV[3] then return {'moved'} end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
wait_again(KEYS[1], KEYS[2], KEYS[7], KEYS[8], KEYS[3], KEYS[4], KEYS[9], ARGV[2])
tell(KEYS[6], KEYS[1], 'handoff.released', of[2], ARGV[2])
redis.call('SET', KEYS[5], 'release', 'PX', ARGV[4])
return {'done', redis.call('HGETALL', KEYS[1])}
