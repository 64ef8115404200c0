-- End the claim of an operator who has fallen silent.
-- KEYS[1] handoff  HASH
-- KEYS[2] waiting  ZSET of its queue
-- KEYS[3] leases  ZSET
-- KEYS[4] deadlines  ZSET
-- KEYS[5] outbox  STREAM
-- KEYS[6] in_class  ZSET in which it waits
-- KEYS[7] classes  ZSET
-- KEYS[8] loads  HASH
-- KEYS[9] beats  HASH
-- ARGV[1] now_ms
-- ARGV[2] version  of the handoff that was thought with
-- ARGV[3] handoff_id
-- ARGV[4] actor
-- ARGV[5..] fields  of the handoff as it waits again: name, value, name, value
-- RETURN done | unknown | illegal | early | spared | moved
--   done: the handoff's fields; illegal: state; early: the lease still runs; spared: it runs longer than it said;
--   moved: think again
-- USES clock, outage, class, load, wait_again, tell
-- AGAIN safe: what has lapsed waits, and cannot lapse again
-- WHY A SCRIPT: a renewal may come at the same moment, and one of the two must win whole.
local of = redis.call('HMGET', KEYS[1], 'state', 'version', 'lease_expires_at_ms', 'holder')
if not of[1] then
  redis.call('ZREM', KEYS[3], ARGV[3])
  return {'unknown'}
end
if of[1] ~= 'leased' and of[1] ~= 'held' then return {'illegal', of[1]} end
local ended_at_ms = ends_at_ms(KEYS[9], of[3])
if ended_at_ms > tonumber(ARGV[1]) then
  if ended_at_ms == tonumber(of[3]) then return {'early'} end
  -- The version stays, as with a renewal: for the agent that waits nothing has changed.
  redis.call('HSET', KEYS[1], 'lease_expires_at_ms', string.format('%d', ended_at_ms))
  redis.call('ZADD', KEYS[3], string.format('%d', ended_at_ms), ARGV[3])
  return {'spared'}
end
if of[2] ~= ARGV[2] then return {'moved'} end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
wait_again(KEYS[1], KEYS[2], KEYS[6], KEYS[7], KEYS[3], KEYS[4], KEYS[8],
  string.format('%d', ended_at_ms))
tell(KEYS[5], KEYS[1], 'handoff.lapsed', ARGV[4], ARGV[1], of[4])
return {'done', redis.call('HGETALL', KEYS[1])}
