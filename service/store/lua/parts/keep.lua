-- Extend a lease, or begin the quiet kind that needs no heartbeat.
local function keep(handoff, leases, state, until_at_ms, reason)
  redis.call('HSET', handoff, 'state', state, 'lease_expires_at_ms', until_at_ms, 'hold_reason', reason)
  redis.call('ZADD', leases, until_at_ms, redis.call('HGET', handoff, 'handoff_id'))
end
