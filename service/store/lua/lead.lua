-- Let the most urgent member of a flood's group stand for it, where nobody does any more; a group of nobody ends.
-- KEYS[1] group  HASH
-- KEYS[2] members  ZSET
-- KEYS[3] classes  ZSET
-- KEYS[4] deadlines  ZSET
-- KEYS[5] handoff  HASH of the member that is to stand for it
-- KEYS[6] waiting  ZSET of the queue
-- KEYS[7] open  ZSET of the queue
-- KEYS[8] in_class  ZSET in which it waits from now on
-- KEYS[9] outbox  STREAM
-- ARGV[1] now_ms
-- ARGV[2] name  of the group: the text of its class
-- ARGV[3] handoff_id  of the member, empty for none
-- ARGV[4] version  of the member that was thought with
-- ARGV[5] actor
-- ARGV[6..] fields  of the member as it stands for the group: name, value, name, value
-- RETURN done | led | ended | moved
--   done: it stands for the group; led: somebody does; ended: it had no members; moved: think again
-- USES class, tell
-- AGAIN safe: the second time somebody stands for it
-- WHY A SCRIPT: others may come into the group, and its members be answered, at the same moment.
if redis.call('HEXISTS', KEYS[1], 'leader') == 1 then
  redis.call('ZREM', KEYS[4], ARGV[2])
  return {'led'}
end
local head = redis.call('ZRANGE', KEYS[2], 0, 0)
if not head[1] then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[4], ARGV[2])
  return {'ended'}
end
if head[1] ~= ARGV[3] or redis.call('HGET', KEYS[5], 'version') ~= ARGV[4] then return {'moved'} end
redis.call('HSET', KEYS[5], unpack(ARGV, 6))
redis.call('HINCRBY', KEYS[5], 'version', 1)
redis.call('HSET', KEYS[1], 'leader', ARGV[3])
local now = redis.call('HMGET', KEYS[5], 'score_ms', 'timer_at_ms', 'class')
leave(KEYS[3], KEYS[2], ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[6], now[1], ARGV[3])
redis.call('ZADD', KEYS[7], now[1], ARGV[3])
enter(KEYS[3], KEYS[8], now[3], ARGV[3], now[1])
redis.call('ZADD', KEYS[4], now[2], ARGV[3])
redis.call('ZREM', KEYS[4], ARGV[2])
tell(KEYS[9], KEYS[5], 'handoff.leads', ARGV[5], ARGV[1])
return {'done'}
