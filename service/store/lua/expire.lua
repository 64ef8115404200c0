-- End a handoff that nobody took in time, with what the waiting agent was promised for that case.
-- KEYS[1] handoff  HASH
-- KEYS[2] conversation  HASH
-- KEYS[3] turns  ZSET
-- KEYS[4] waiting  ZSET of its queue
-- KEYS[5] open  ZSET of its queue
-- KEYS[6] deadlines  ZSET
-- KEYS[7] outbox  STREAM
-- KEYS[8] in_class  ZSET in which it waits
-- KEYS[9] classes  ZSET
-- KEYS[10] loads  HASH
-- KEYS[11] group  HASH of the flood that it is part of
-- KEYS[12] calls  ZSET
-- KEYS[13] ended  ZSET
-- KEYS[14] queues  SET
-- KEYS[15] call  HASH of the handoff in which a call waits that is owed then
-- KEYS[16] call_waiting  ZSET of the call's queue
-- KEYS[17] call_open  ZSET of the call's queue
-- KEYS[18] call_class  ZSET in which the call waits
-- KEYS[19] call_group  HASH of the flood that the call is part of
-- ARGV[1] now_ms
-- ARGV[2] queue  that `waiting` and `open` belong to
-- ARGV[3] handoff_id
-- ARGV[4] resolution  JSON
-- ARGV[5] kept_ms  how long an ended handoff and a quiet conversation are kept
-- ARGV[6] actor
-- ARGV[7] class_name  of `in_class`
-- ARGV[8] version  of the handoff that was thought with
-- ARGV[9..] call_fields  of the call: name, value, name, value; none where none is owed
-- RETURN done | unknown | illegal | early | moved
--   done: the handoff's fields; illegal: state; early: the deadline is still to come; moved: think again
-- USES class, load, stand_down, ending, tell, owe
-- AGAIN safe: what has ended stays ended
-- WHY A SCRIPT: a claim may come at the same moment, and one of the two must win whole; and a call that was promised
-- must stand in the queue from the moment at which it was.
local of = redis.call('HMGET', KEYS[1], 'state', 'queue', 'expires_at_ms', 'class', 'version')
if not of[1] then
  redis.call('ZREM', KEYS[6], ARGV[3])
  return {'unknown'}
end
if of[1] ~= 'waiting' then return {'illegal', of[1]} end
if tonumber(of[3]) > tonumber(ARGV[1]) then return {'early'} end
if of[2] ~= ARGV[2] or of[4] ~= ARGV[7] or of[5] ~= ARGV[8] then return {'moved'} end
finish(KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6], KEYS[10], KEYS[11], KEYS[12], KEYS[13], 'expired', ARGV[4],
  ARGV[1], ARGV[5])
redis.call('ZREM', KEYS[4], ARGV[3])
leave(KEYS[9], KEYS[8], ARGV[7], ARGV[3])
tell(KEYS[7], KEYS[1], 'handoff.expired', ARGV[6], ARGV[1])
if #ARGV > 8 then
  redis.call('HSET', KEYS[15], unpack(ARGV, 9))
  owe(KEYS[1], KEYS[15], KEYS[2], KEYS[16], KEYS[17], KEYS[18], KEYS[9], KEYS[6], KEYS[14], KEYS[19], KEYS[12], KEYS[7],
    ARGV[6], ARGV[1])
end
return {'done', redis.call('HGETALL', KEYS[1])}
