-- Have a group looked at that loses the handoff which stands for it; `led` is its name, empty for one that leads none.
local function leads(handoff)
  return redis.call('HGET', handoff, 'leads') or ''
end
local function stand_down(group, deadlines, led, at_ms)
  if led == '' then return end
  redis.call('HDEL', group, 'leader')
  redis.call('ZADD', deadlines, at_ms, led)
end
