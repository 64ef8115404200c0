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
-- ARGV[1] token  of the one that stands for the group
-- ARGV[2] now_ms
-- ARGV[3] name  of the group: the text of its class
-- ARGV[4] handoff_id
-- ARGV[5] version  of the member that was thought with
-- ARGV[6] resolution  JSON
-- ARGV[7] kept_ms  how long an ended handoff and a quiet conversation are kept
-- RETURN done | unknown | illegal | lost | moved
--   unknown, illegal, lost: of the one that stands for the group; moved: the member has changed meanwhile, or its
--   deadline is over
-- USES token, class, load, stand_down, ending, tell
-- AGAIN safe: what has ended stays ended
-- WHY A SCRIPT: whether the token still holds must be known in the step that ends a member with it.
local refused = refusal(KEYS[2], ARGV[1], ARGV[2])
if refused then return refused end
local of = redis.call('HMGET', KEYS[1], 'state', 'version', 'class', 'expires_at_ms')
if of[1] ~= 'waiting' or of[2] ~= ARGV[5] or of[3] ~= ARGV[3] then return {'moved'} end
if redis.call('HGET', KEYS[2], 'leads') ~= ARGV[3] or tonumber(of[4]) <= tonumber(ARGV[2]) then return {'moved'} end
finish(KEYS[1], KEYS[3], KEYS[4], KEYS[6], KEYS[7], KEYS[10], KEYS[11], 'resolved', ARGV[6], ARGV[2], ARGV[7])
redis.call('ZREM', KEYS[5], ARGV[4])
leave(KEYS[9], KEYS[8], ARGV[3], ARGV[4])
tell(KEYS[12], KEYS[1], 'handoff.resolved', redis.call('HGET', KEYS[2], 'holder'), ARGV[2])
return {'done'}
