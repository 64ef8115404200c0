-- What is known of a conversation when a turn comes in, or the answer when that turn was decided before.
-- KEYS[1] conversation  HASH
-- KEYS[2] turns  ZSET of records
-- KEYS[3] decision  STRING, perhaps not there
-- RETURN decided | loaded
--   decided: the stored answer
--   loaded: version, started_at_ms, turns_count, handoffs_count, last_handoff_at_ms, open_handoff, cut_order,
--   ended_handoff (each perhaps nil), then the records in order
-- AGAIN safe: it writes nothing
-- WHY A SCRIPT: one round trip and one moment in time, at the price of one command.
local stored = redis.call('GET', KEYS[3])
if stored then return {'decided', stored} end
return {
  'loaded',
  redis.call('HMGET', KEYS[1], 'version', 'started_at_ms', 'turns_count', 'handoffs_count', 'last_handoff_at_ms',
    'open_handoff', 'cut_order', 'ended_handoff'),
  redis.call('ZRANGE', KEYS[2], 0, -1),
}
