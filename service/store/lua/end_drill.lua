-- End a fire drill with its result, once, and tell it in the same step.
-- KEYS[1] drill  HASH
-- KEYS[2] outbox  STREAM
-- KEYS[3] last  HASH queue -> when its last drill that ended was opened, and its id
-- ARGV[1] result  passed or failed
-- ARGV[2] ended_at_ms
-- ARGV[3] waiting  customers who waited in the queue at that moment
-- ARGV[4] tenant
-- ARGV[5] handoff_id
-- ARGV[6] drill_id
-- ARGV[7] queue
-- ARGV[8] opened_at_ms
-- RETURN done | repeated
-- AGAIN safe: a drill that has a result keeps it
-- WHY A SCRIPT: workers and readers settle it at the same time, and nobody may be alarmed twice.
if redis.call('HSETNX', KEYS[1], 'result', ARGV[1]) == 0 then return {'repeated'} end
redis.call('HSET', KEYS[1], 'ended_at_ms', ARGV[2], 'waiting', ARGV[3])
local last = redis.call('HGET', KEYS[3], ARGV[7])
if not last or tonumber(string.match(last, '^%d+')) <= tonumber(ARGV[8]) then
  redis.call('HSET', KEYS[3], ARGV[7], ARGV[8] .. ' ' .. ARGV[6])
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', '100000', '*', 'type', 'drill.' .. ARGV[1], 'tenant', ARGV[4],
  'handoff_id', ARGV[5], 'conversation_id', ARGV[6], 'actor', 'handrail', 'at_ms', ARGV[2], 'detail', ARGV[7])
return {'done'}
