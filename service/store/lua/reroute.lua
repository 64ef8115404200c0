-- Move a handoff that nobody took in time to the queue that was promised for that case, once.
-- KEYS[1] handoff  HASH
-- KEYS[2] waiting  ZSET of the queue it goes to
-- KEYS[3] waiting_before  ZSET of the queue it comes from
-- KEYS[4] open  ZSET of the queue it goes to
-- KEYS[5] open_before  ZSET of the queue it comes from
-- KEYS[6] deadlines  ZSET
-- KEYS[7] queues  SET
-- KEYS[8] outbox  STREAM
-- ARGV[1] now_ms
-- ARGV[2] queue_before  that `waiting_before` and `open_before` belong to
-- ARGV[3] queue  it goes to
-- ARGV[4] handoff_id
-- ARGV[5] expires_at_ms  the new deadline
-- ARGV[6] on_timeout  JSON: what happens when nobody comes there either
-- ARGV[7] actor
-- RETURN done | unknown | illegal | early | moved
--   done: the handoff's fields; illegal: state; early: the deadline is still to come; moved: it is in another queue
--   now, or was rerouted before
-- USES tell
-- AGAIN safe: it is rerouted once
-- WHY A SCRIPT: a claim may come at the same moment, and one of the two must win whole.
local of = redis.call('HMGET', KEYS[1], 'state', 'queue', 'expires_at_ms', 'rerouted', 'score_ms')
if not of[1] then return {'unknown'} end
if of[1] ~= 'waiting' then return {'illegal', of[1]} end
if tonumber(of[3]) > tonumber(ARGV[1]) then return {'early'} end
if of[2] ~= ARGV[2] or of[4] == '1' then return {'moved'} end
redis.call('HSET', KEYS[1], 'queue', ARGV[3], 'expires_at_ms', ARGV[5], 'on_timeout', ARGV[6], 'rerouted', '1',
  'reroute', '', 'reserved_for', '', 'reserved_until_at_ms', '')
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('ZREM', KEYS[3], ARGV[4])
redis.call('ZREM', KEYS[5], ARGV[4])
redis.call('ZADD', KEYS[2], of[5], ARGV[4])
redis.call('ZADD', KEYS[4], of[5], ARGV[4])
redis.call('ZADD', KEYS[6], ARGV[5], ARGV[4])
redis.call('SADD', KEYS[7], ARGV[3])
tell(KEYS[8], KEYS[1], 'handoff.rerouted', ARGV[7], ARGV[1])
return {'done', redis.call('HGETALL', KEYS[1])}
