-- End a member of a flood's group with the answer of whoever has the one that stands for it.
-- KEYS[1] handoff  HASH
-- KEYS[2] leader  HASH of the one that stands for the group
-- KEYS[3] conversation  HASH
-- KEYS[4] turns  ZSET
-- KEYS[5] waiting  ZSET of its queue
-- KEYS[6] open  ZSET of its queue
-- KEYS[7] deadlines  ZSET
-- KEYS[8] members  ZSET of the group
-- KEYS[9] classes  ZSET
-- KEYS[10] loads  HASH
-- KEYS[11] group  HASH
-- KEYS[12] outbox  STREAM
-- KEYS[13] calls  ZSET
-- KEYS[14] ended  ZSET
-- KEYS[15] queues  SET
-- KEYS[16] call  HASH of the handoff in which a call waits that is owed still
-- KEYS[17] call_waiting  ZSET of the call's queue
-- KEYS[18] call_open  ZSET of the call's queue
-- KEYS[19] call_class  ZSET in which the call waits
-- KEYS[20] call_group  HASH of the flood that the call is part of
-- KEYS[21] beats  HASH
-- ARGV[1] token  of the one that stands for the group
-- ARGV[2] now_ms
-- ARGV[3] name  of the group: the text of its class
-- ARGV[4] handoff_id
-- ARGV[5] version  of the member that was thought with
-- ARGV[6] resolution  JSON
-- ARGV[7] kept_ms  how long an ended handoff and a quiet conversation are kept
-- ARGV[8..] call_fields  of the call: name, value, name, value; none where none is owed
-- RETURN done | unknown | illegal | lost | moved
--   unknown, illegal, lost: of the one that stands for the group; moved: the member has changed meanwhile, or its
--   deadline is over
-- USES clock, outage, token, class, load, stand_down, ending, tell, owe
-- AGAIN safe: what has ended stays ended
-- WHY A SCRIPT: whether the token still holds must be known in the step that ends a member with it.
local refused = refusal(KEYS[2], ARGV[1], ARGV[2], KEYS[21])
if refused then return refused end
local of = redis.call('HMGET', KEYS[1], 'state', 'version', 'class', 'expires_at_ms')
if of[1] ~= 'waiting' or of[2] ~= ARGV[5] or of[3] ~= ARGV[3] then return {'moved'} end
if redis.call('HGET', KEYS[2], 'leads') ~= ARGV[3] or tonumber(of[4]) <= tonumber(ARGV[2]) then return {'moved'} end
finish(KEYS[1], KEYS[3], KEYS[4], KEYS[6], KEYS[7], KEYS[10], KEYS[11], KEYS[13], KEYS[14], 'resolved', ARGV[6],
  ARGV[2], ARGV[7])
redis.call('ZREM', KEYS[5], ARGV[4])
leave(KEYS[9], KEYS[8], ARGV[3], ARGV[4])
local holder = redis.call('HGET', KEYS[2], 'holder')
tell(KEYS[12], KEYS[1], 'handoff.resolved', holder, ARGV[2])
if #ARGV > 7 then
  redis.call('HSET', KEYS[16], unpack(ARGV, 8))
  owe(KEYS[1], KEYS[16], KEYS[3], KEYS[17], KEYS[18], KEYS[19], KEYS[9], KEYS[7], KEYS[15], KEYS[20], KEYS[13], KEYS[12],
    holder, ARGV[2])
end
return {'done'}
