-- Give a conversation back to the agent with what the operator learned.
-- KEYS[1] handoff  HASH
-- KEYS[2] conversation  HASH
-- KEYS[3] turns  ZSET
-- KEYS[4] open  ZSET of its queue
-- KEYS[5] leases  ZSET
-- KEYS[6] request  STRING
-- KEYS[7] outbox  STREAM
-- KEYS[8] deadlines  ZSET
-- KEYS[9] loads  HASH
-- KEYS[10] group  HASH of the flood that it is part of
-- KEYS[11] calls  ZSET
-- KEYS[12] ended  ZSET
-- KEYS[13] queues  SET
-- KEYS[14] classes  ZSET
-- KEYS[15] call  HASH of the handoff in which a call waits that is owed still
-- KEYS[16] call_waiting  ZSET of the call's queue
-- KEYS[17] call_open  ZSET of the call's queue
-- KEYS[18] call_class  ZSET in which the call waits
-- KEYS[19] call_group  HASH of the flood that the call is part of
-- KEYS[20] beats  HASH
-- ARGV[1] token
-- ARGV[2] now_ms
-- ARGV[3] queue  that `open` belongs to
-- ARGV[4] handoff_id
-- ARGV[5] resolution  JSON
-- ARGV[6] kept_ms  how long an ended handoff and a quiet conversation are kept
-- ARGV[7] answer_kept_ms
-- ARGV[8] version  of the handoff that was thought with
-- ARGV[9..] call_fields  of the call: name, value, name, value; none where none is owed
-- RETURN done | unknown | illegal | lost | moved
--   done: the handoff's fields; illegal: state; lost: holder, when the lease ended; moved: think again
-- USES clock, outage, token, class, load, stand_down, ending, tell, owe
-- AGAIN safe: the request is remembered
-- WHY A SCRIPT: the answer, the fence and the cut of history must come in one step, or a turn between them loops.
if redis.call('EXISTS', KEYS[6]) == 1 then return {'done', redis.call('HGETALL', KEYS[1])} end
local refused = refusal(KEYS[1], ARGV[1], ARGV[2], KEYS[20])
if refused then return refused end
local of = redis.call('HMGET', KEYS[1], 'queue', 'holder', 'call', 'version')
-- What is owed was read off it: a call that was promised since must not be forgotten.
if of[1] ~= ARGV[3] or (of[3] and of[4] ~= ARGV[8]) then return {'moved'} end
finish(KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12], 'handed_back', ARGV[5],
  ARGV[2], ARGV[6])
redis.call('ZREM', KEYS[5], ARGV[4])
tell(KEYS[7], KEYS[1], 'handoff.handed_back', of[2], ARGV[2])
if #ARGV > 8 then
  redis.call('HSET', KEYS[15], unpack(ARGV, 9))
  owe(KEYS[1], KEYS[15], KEYS[2], KEYS[16], KEYS[17], KEYS[18], KEYS[14], KEYS[8], KEYS[13], KEYS[19], KEYS[11], KEYS[7],
    of[2], ARGV[2])
end
redis.call('SET', KEYS[6], 'hand_back', 'PX', ARGV[7])
return {'done', redis.call('HGETALL', KEYS[1])}
