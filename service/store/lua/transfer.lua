-- Put a handoff to wait in another queue, for a named operator, or both.
-- KEYS[1] handoff  HASH
-- KEYS[2] waiting  ZSET of the queue it goes to
-- KEYS[3] open  ZSET of the queue it goes to
-- KEYS[4] open_before  ZSET of the queue it comes from
-- KEYS[5] queues  SET
-- KEYS[6] leases  ZSET
-- KEYS[7] deadlines  ZSET
-- KEYS[8] request  STRING
-- KEYS[9] outbox  STREAM
-- ARGV[1] token
-- ARGV[2] now_ms
-- ARGV[3] queue_before  that `open_before` belongs to
-- ARGV[4] queue  it goes to
-- ARGV[5] reserved_for  operator, or empty
-- ARGV[6] reserved_until_at_ms  or empty
-- ARGV[7] expires_at_ms  the earliest its deadline may be now: whom it goes to needs time to answer
-- ARGV[8] answer_kept_ms
-- RETURN done | unknown | illegal | lost | moved
--   done: the handoff's fields; illegal: state; lost: holder, when the lease ended; moved: it is in another queue now
-- USES token, wait_again, tell
-- AGAIN safe: the request is remembered
-- WHY A SCRIPT: a handoff must at every moment be either held or waiting, in exactly one queue.
if redis.call('EXISTS', KEYS[8]) == 1 then return {'done', redis.call('HGETALL', KEYS[1])} end
local refused = refusal(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end
local of = redis.call('HMGET', KEYS[1], 'queue', 'holder', 'handoff_id', 'score_ms', 'expires_at_ms')
if of[1] ~= ARGV[3] then return {'moved'} end
redis.call('HSET', KEYS[1], 'queue', ARGV[4], 'reserved_for', ARGV[5], 'reserved_until_at_ms', ARGV[6])
if tonumber(of[5]) < tonumber(ARGV[7]) then redis.call('HSET', KEYS[1], 'expires_at_ms', ARGV[7]) end
wait_again(KEYS[1], KEYS[2], KEYS[6], KEYS[7], ARGV[2])
redis.call('ZREM', KEYS[4], of[3])
redis.call('ZADD', KEYS[3], of[4], of[3])
redis.call('SADD', KEYS[5], ARGV[4])
tell(KEYS[9], KEYS[1], 'handoff.transferred', of[2], ARGV[2])
redis.call('SET', KEYS[8], 'transfer', 'PX', ARGV[8])
return {'done', redis.call('HGETALL', KEYS[1])}
