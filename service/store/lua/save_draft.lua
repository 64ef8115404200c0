-- Keep what an operator is writing, whether the handoff is still theirs or not.
-- KEYS[1] handoff  HASH
-- KEYS[2] drafts  HASH operator, or operator and what tells a refused text apart -> JSON
-- ARGV[1] operator  as a field of it
-- ARGV[2] draft  JSON
-- ARGV[3] drafts_max  of one handoff, the writer's own not counted
-- ARGV[4] kept_ms  after the last word
-- RETURN saved | unknown | full
-- AGAIN safe: saved twice is saved once
-- WHY A SCRIPT: a handoff that is gone must not get drafts that nobody ever reads.
if redis.call('EXISTS', KEYS[1]) == 0 then return {'unknown'} end
local others = redis.call('HLEN', KEYS[2]) - redis.call('HEXISTS', KEYS[2], ARGV[1])
if others >= tonumber(ARGV[3]) then return {'full'} end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return {'saved'}
