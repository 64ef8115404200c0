-- Do what time asks of a handoff that stays in its queue: a step of its ladder, a warning, the end of an offer.
-- KEYS[1] handoff  HASH
-- KEYS[2] waiting  ZSET of its queue
-- KEYS[3] open  ZSET of its queue
-- KEYS[4] deadlines  ZSET
-- KEYS[5] outbox  STREAM
-- KEYS[6] in_class  ZSET in which it waits from now on
-- KEYS[7] in_class_before  ZSET in which it waited
-- KEYS[8] classes  ZSET
-- ARGV[1] now_ms
-- ARGV[2] version  of the handoff that was thought with
-- ARGV[3] handoff_id
-- ARGV[4] event  what is told, empty for nothing
-- ARGV[5] detail  of the event: the channel to page, who let it go, or empty
-- ARGV[6] actor
-- ARGV[7] until_ms  of this server's clock: past it nothing is done; empty for never
-- ARGV[8] widened  JSON of what a step changed, told with the event; empty for nothing
-- ARGV[9..] fields  of the handoff that the step changes: name, value, name, value
-- RETURN done | unknown | illegal | moved | late
--   done: the handoff's fields; illegal: state; moved: think again; late: what the caller knows is too old by now
-- USES class, clock, tell
-- AGAIN safe: the second time the version is another one, and what is told of nothing is written alike
-- WHY A SCRIPT: a claim may come at the same moment, and a step must be taken whole, once, and told.
local of = redis.call('HMGET', KEYS[1], 'state', 'version', 'class')
if not of[1] then
  redis.call('ZREM', KEYS[4], ARGV[3])
  return {'unknown'}
end
local waits = of[1] == 'waiting'
if not waits and of[1] ~= 'leased' and of[1] ~= 'held' then return {'illegal', of[1]} end
if of[2] ~= ARGV[2] then return {'moved'} end
if ARGV[7] ~= '' and clock_ms() > tonumber(ARGV[7]) then return {'late'} end
redis.call('HSET', KEYS[1], unpack(ARGV, 9))
-- Looking for somebody in vain changes nothing for anybody: whoever waits for a new version is not to wake.
if ARGV[4] ~= '' then redis.call('HINCRBY', KEYS[1], 'version', 1) end
local now = redis.call('HMGET', KEYS[1], 'score_ms', 'timer_at_ms', 'timer_held_at_ms', 'class')
redis.call('ZADD', KEYS[3], now[1], ARGV[3])
if waits then
  leave(KEYS[8], KEYS[7], of[3], ARGV[3])
  enter(KEYS[8], KEYS[6], now[4], ARGV[3], now[1])
  redis.call('ZADD', KEYS[2], now[1], ARGV[3])
  redis.call('ZADD', KEYS[4], now[2], ARGV[3])
elseif now[3] ~= '' then
  redis.call('ZADD', KEYS[4], now[3], ARGV[3])
else
  redis.call('ZREM', KEYS[4], ARGV[3])
end
if ARGV[4] ~= '' then tell(KEYS[5], KEYS[1], ARGV[4], ARGV[6], ARGV[1], ARGV[5], ARGV[8]) end
return {'done', redis.call('HGETALL', KEYS[1])}
