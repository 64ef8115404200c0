-- Extend a lease. One that is held needs no heartbeat, and a console that sends one must not end the hold.
-- KEYS[1] handoff  HASH
-- KEYS[2] leases  ZSET
-- KEYS[3] beats  HASH
-- ARGV[1] token
-- ARGV[2] now_ms
-- ARGV[3] lease_expires_at_ms
-- RETURN done | unknown | illegal | lost
--   done: the handoff's fields; illegal: state; lost: holder, when the lease ended
-- USES clock, outage, token, keep
-- AGAIN safe: a lease extended twice to the same moment is extended once
-- WHY A SCRIPT: whether the token still holds must be known in the step that relies on it.
-- The version stays: nothing has changed for the agent that waits, and a heartbeat must not wake it.
local refused = refusal(KEYS[1], ARGV[1], ARGV[2], KEYS[3])
if refused then return refused end
if redis.call('HGET', KEYS[1], 'state') == 'held' then return {'illegal', 'held'} end
keep(KEYS[1], KEYS[2], 'leased', ARGV[2], ARGV[3], '')
return {'done', redis.call('HGETALL', KEYS[1])}
