-- End a handoff that nobody took in time, with what the waiting agent was promised for that case.
-- KEYS[1] handoff  HASH
-- KEYS[2] conversation  HASH
-- KEYS[3] turns  ZSET
-- KEYS[4] waiting  ZSET of its queue
-- KEYS[5] open  ZSET of its queue
-- KEYS[6] deadlines  ZSET
-- KEYS[7] outbox  STREAM
-- ARGV[1] now_ms
-- ARGV[2] queue  that `waiting` and `open` belong to
-- ARGV[3] handoff_id
-- ARGV[4] resolution  JSON
-- ARGV[5] kept_ms  how long an ended handoff and a quiet conversation are kept
-- ARGV[6] actor
-- RETURN done | unknown | illegal | early | moved
--   done: the handoff's fields; illegal: state; early: the deadline is still to come; moved: it is in another queue now
-- USES ending, tell
-- AGAIN safe: what has ended stays ended
-- WHY A SCRIPT: a claim may come at the same moment, and one of the two must win whole.
local of = redis.call('HMGET', KEYS[1], 'state', 'queue', 'expires_at_ms')
if not of[1] then
  redis.call('ZREM', KEYS[6], ARGV[3])
  return {'unknown'}
end
if of[1] ~= 'waiting' then return {'illegal', of[1]} end
if tonumber(of[3]) > tonumber(ARGV[1]) then return {'early'} end
if of[2] ~= ARGV[2] then return {'moved'} end
finish(KEYS[1], KEYS[2], KEYS[3], KEYS[5], 'expired', ARGV[4], ARGV[1], ARGV[5])
redis.call('ZREM', KEYS[4], ARGV[3])
redis.call('ZREM', KEYS[6], ARGV[3])
tell(KEYS[7], KEYS[1], 'handoff.expired', ARGV[6], ARGV[1])
return {'done', redis.call('HGETALL', KEYS[1])}
