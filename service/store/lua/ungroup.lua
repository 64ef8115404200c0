-- Let a member of a flood's group wait as one of its own again.
-- KEYS[1] handoff  HASH
-- KEYS[2] waiting  ZSET of its queue
-- KEYS[3] open  ZSET of its queue
-- KEYS[4] deadlines  ZSET
-- KEYS[5] outbox  STREAM
-- KEYS[6] in_class  ZSET in which it waits from now on
-- KEYS[7] members  ZSET of the group
-- KEYS[8] classes  ZSET
-- ARGV[1] now_ms
-- ARGV[2] version  of the handoff that was thought with
-- ARGV[3] handoff_id
-- ARGV[4] name  of the group: the text of its class
-- ARGV[5] actor
-- ARGV[6..] fields  of the handoff as it waits then: name, value, name, value
-- RETURN done | moved
--   moved: it has changed meanwhile, and is perhaps no member any more
-- USES class, tell
-- AGAIN safe: the second time the version is another one
-- WHY A SCRIPT: it must at every moment wait in exactly one class, and may be answered at the same moment.
local of = redis.call('HMGET', KEYS[1], 'state', 'version', 'class')
if of[1] ~= 'waiting' or of[2] ~= ARGV[2] or of[3] ~= ARGV[4] then return {'moved'} end
redis.call('HSET', KEYS[1], unpack(ARGV, 6))
redis.call('HINCRBY', KEYS[1], 'version', 1)
local now = redis.call('HMGET', KEYS[1], 'score_ms', 'timer_at_ms', 'class')
leave(KEYS[8], KEYS[7], ARGV[4], ARGV[3])
redis.call('ZADD', KEYS[2], now[1], ARGV[3])
redis.call('ZADD', KEYS[3], now[1], ARGV[3])
enter(KEYS[8], KEYS[6], now[3], ARGV[3], now[1])
redis.call('ZADD', KEYS[4], now[2], ARGV[3])
tell(KEYS[5], KEYS[1], 'handoff.ungrouped', ARGV[5], ARGV[1])
return {'done'}
