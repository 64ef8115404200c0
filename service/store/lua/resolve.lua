-- End a handoff with an operator's answer and its Outcome.
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
-- ARGV[1] token
-- ARGV[2] now_ms
-- ARGV[3] queue  that `open` belongs to
-- ARGV[4] handoff_id
-- ARGV[5] resolution  JSON
-- ARGV[6] kept_ms  how long an ended handoff and a quiet conversation are kept
-- ARGV[7] answer_kept_ms
-- ARGV[8] unseen  `unseen` when the answer is to a draft, and a later one was held since the claim; else empty
-- RETURN done | unknown | illegal | lost | moved | unseen
--   done: the handoff's fields; illegal: state; lost: holder, when the lease ended; moved: it is in another queue now
--   unseen: nothing is done, as the holder knows an older draft
-- USES token, load, stand_down, ending, tell
-- AGAIN safe: the request is remembered
-- WHY A SCRIPT: the answer, the fence and the cut of history must come in one step, or a turn between them loops.
if redis.call('EXISTS', KEYS[6]) == 1 then return {'done', redis.call('HGETALL', KEYS[1])} end
local refused = refusal(KEYS[1], ARGV[1], ARGV[2])
if refused then return refused end
if ARGV[8] ~= '' then return {'unseen'} end
local of = redis.call('HMGET', KEYS[1], 'queue', 'holder')
if of[1] ~= ARGV[3] then return {'moved'} end
finish(KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[8], KEYS[9], KEYS[10], 'resolved', ARGV[5], ARGV[2], ARGV[6])
redis.call('ZREM', KEYS[5], ARGV[4])
tell(KEYS[7], KEYS[1], 'handoff.resolved', of[2], ARGV[2])
redis.call('SET', KEYS[6], 'resolve', 'PX', ARGV[7])
return {'done', redis.call('HGETALL', KEYS[1])}
