-- Extend a lease, or begin the quiet kind that needs no heartbeat. It begins at `began_at_ms`; nil: when it did before.
local function keep(handoff, leases, state, began_at_ms, until_at_ms, reason)
  redis.call('HSET', handoff, 'state', state, 'lease_expires_at_ms', until_at_ms, 'hold_reason', reason)
  if began_at_ms then redis.call('HSET', handoff, 'lease_began_at_ms', began_at_ms) end
  redis.call('ZADD', leases, until_at_ms, redis.call('HGET', handoff, 'handoff_id'))
end
