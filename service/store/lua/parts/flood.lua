-- Count what is alike, and group it past a limit. One that leads stands in the queue for all of its group.
local function count(counted, limit, handoff_id, now_ms)
  redis.call('ZREMRANGEBYSCORE', counted, '-inf', tonumber(now_ms) - limit[2])
  local over = redis.call('ZCARD', counted) + limit[3] >= limit[1]
  redis.call('ZADD', counted, now_ms, handoff_id)
  -- As many as the limit say whether it is passed.
  redis.call('ZREMRANGEBYRANK', counted, 0, -1 - limit[1])
  redis.call('PEXPIRE', counted, limit[2])
  return over
end
local function join_group(group, handoff, limit, handoff_id, now_ms)
  redis.call('HINCRBY', group, 'grouped', 1)
  if redis.call('HSETNX', group, 'leader', handoff_id) == 0 then
    redis.call('HSET', handoff, unpack(limit[4]))
    return 'member'
  end
  redis.call('HSETNX', group, 'since_ms', now_ms)
  redis.call('HSET', handoff, unpack(limit[5]))
  return 'leads'
end
