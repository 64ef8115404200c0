-- Note that somebody knows of a handoff and comes: nothing more is told of what has been told so far.
-- KEYS[1] handoff  HASH
-- KEYS[2] outbox  STREAM
-- ARGV[1] operator
-- ARGV[2] now_ms
-- RETURN done | repeated | unknown | illegal
--   done, repeated: the handoff's fields; illegal: state
-- USES tell
-- AGAIN safe: whoever has acknowledged it has acknowledged it
-- WHY A SCRIPT: an event at the same moment comes either before it, and is told no more, or after it.
local of = redis.call('HMGET', KEYS[1], 'state', 'acknowledged_by')
if not of[1] then return {'unknown'} end
if of[1] ~= 'waiting' and of[1] ~= 'leased' and of[1] ~= 'held' then return {'illegal', of[1]} end
if of[1] == 'waiting' and of[2] == ARGV[1] then return {'repeated', redis.call('HGETALL', KEYS[1])} end
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[1], 'answered_version', version)
if of[1] == 'waiting' then redis.call('HSET', KEYS[1], 'acknowledged_by', ARGV[1]) end
tell(KEYS[2], KEYS[1], 'handoff.acknowledged', ARGV[1], ARGV[2])
return {'done', redis.call('HGETALL', KEYS[1])}
