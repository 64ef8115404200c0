-- Put a handoff back where it waits, with the urgency it has had since it was opened.
local function wait_again(handoff, waiting, class, classes, leases, deadlines, loads, at_ms)
  lay_down(loads, handoff)
  local of = redis.call('HMGET', handoff, 'handoff_id', 'score_ms', 'timer_at_ms', 'class')
  redis.call('HSET', handoff, 'state', 'waiting', 'holder', '', 'token', '', 'lease_expires_at_ms', '',
    'hold_reason', '', 'lease_ended_at_ms', at_ms, 'acknowledged_by', '')
  redis.call('HINCRBY', handoff, 'version', 1)
  redis.call('ZREM', leases, of[1])
  redis.call('ZADD', waiting, of[2], of[1])
  enter(classes, class, of[4], of[1], of[2])
  redis.call('ZADD', deadlines, of[3], of[1])
end
