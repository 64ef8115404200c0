-- Move a handoff that nobody took in time to the queue that was promised for that case, once.
-- KEYS[1] handoff  HASH
-- KEYS[2] waiting  ZSET of the queue it goes to
-- KEYS[3] waiting_before  ZSET of the queue it comes from
-- KEYS[4] open  ZSET of the queue it goes to
-- KEYS[5] open_before  ZSET of the queue it comes from
-- KEYS[6] deadlines  ZSET
-- KEYS[7] queues  SET
-- KEYS[8] outbox  STREAM
-- KEYS[9] in_class  ZSET in which it waits from now on
-- KEYS[10] in_class_before  ZSET in which it waited
-- KEYS[11] classes  ZSET
-- KEYS[12] group  HASH of the flood that it is part of there
-- KEYS[13] group_before  HASH of the flood that it was part of
-- ARGV[1] now_ms
-- ARGV[2] version  of the handoff that was thought with
-- ARGV[3] queue  it goes to
-- ARGV[4] handoff_id
-- ARGV[5] actor
-- ARGV[6..] fields  of the handoff as it waits there: name, value, name, value
-- RETURN done | unknown | illegal | early | moved
--   done: the handoff's fields; illegal: state; early: the deadline is still to come; moved: think again
-- USES class, stand_down, tell
-- AGAIN safe: it is rerouted once
-- WHY A SCRIPT: a claim may come at the same moment, and one of the two must win whole.
local of = redis.call('HMGET', KEYS[1], 'state', 'version', 'expires_at_ms', 'rerouted', 'class')
if not of[1] then return {'unknown'} end
if of[1] ~= 'waiting' then return {'illegal', of[1]} end
if tonumber(of[3]) > tonumber(ARGV[1]) then return {'early'} end
if of[2] ~= ARGV[2] or of[4] == '1' then return {'moved'} end
local led = leads(KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 6))
if leads(KEYS[1]) ~= led then stand_down(KEYS[13], KEYS[6], led, ARGV[1]) end
redis.call('HINCRBY', KEYS[1], 'version', 1)
local now = redis.call('HMGET', KEYS[1], 'score_ms', 'timer_at_ms', 'class', 'group')
if now[4] and now[4] ~= '' then
  redis.call('HSETNX', KEYS[12], 'since_ms', ARGV[1])
  redis.call('HINCRBY', KEYS[12], 'grouped', 1)
  if redis.call('HEXISTS', KEYS[12], 'leader') == 0 then redis.call('ZADD', KEYS[6], ARGV[1], now[3]) end
end
redis.call('ZREM', KEYS[3], ARGV[4])
redis.call('ZREM', KEYS[5], ARGV[4])
leave(KEYS[11], KEYS[10], of[5], ARGV[4])
redis.call('ZADD', KEYS[2], now[1], ARGV[4])
redis.call('ZADD', KEYS[4], now[1], ARGV[4])
enter(KEYS[11], KEYS[9], now[3], ARGV[4], now[1])
redis.call('ZADD', KEYS[6], now[2], ARGV[4])
redis.call('SADD', KEYS[7], ARGV[3])
tell(KEYS[8], KEYS[1], 'handoff.rerouted', ARGV[5], ARGV[1], ARGV[3])
return {'done', redis.call('HGETALL', KEYS[1])}
