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
-- KEYS[10] in_class  ZSET in which it waits from now on
-- KEYS[11] classes  ZSET
-- KEYS[12] loads  HASH
-- KEYS[13] group  HASH of the flood that it is part of
-- KEYS[14] beats  HASH
-- ARGV[1] token
-- ARGV[2] now_ms
-- ARGV[3] version  of the handoff that was thought with
-- ARGV[4] queue  it goes to
-- ARGV[5] answer_kept_ms
-- ARGV[6..] fields  of the handoff as it waits there: name, value, name, value
-- RETURN done | unknown | illegal | lost | moved
--   done: the handoff's fields; illegal: state; lost: holder, when the lease ended; moved: think again
-- USES clock, outage, token, class, load, stand_down, wait_again, tell
-- AGAIN safe: the request is remembered
-- WHY A SCRIPT: a handoff must at every moment be either held or waiting, in exactly one queue.
if redis.call('EXISTS', KEYS[8]) == 1 then return {'done', redis.call('HGETALL', KEYS[1])} end
local refused = refusal(KEYS[1], ARGV[1], ARGV[2], KEYS[14])
if refused then return refused end
local of = redis.call('HMGET', KEYS[1], 'version', 'holder', 'handoff_id')
if of[1] ~= ARGV[3] then return {'moved'} end
local led = leads(KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 6))
if leads(KEYS[1]) ~= led then stand_down(KEYS[13], KEYS[7], led, ARGV[2]) end
wait_again(KEYS[1], KEYS[2], KEYS[10], KEYS[11], KEYS[6], KEYS[7], KEYS[12], ARGV[2])
redis.call('ZREM', KEYS[4], of[3])
redis.call('ZADD', KEYS[3], redis.call('HGET', KEYS[1], 'score_ms'), of[3])
redis.call('SADD', KEYS[5], ARGV[4])
tell(KEYS[9], KEYS[1], 'handoff.transferred', of[2], ARGV[2], redis.call('HGET', KEYS[1], 'reserved_for'))
redis.call('SET', KEYS[8], 'transfer', 'PX', ARGV[5])
return {'done', redis.call('HGETALL', KEYS[1])}
