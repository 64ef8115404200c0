-- Let a handoff wait in its class, or no longer; the index holds every class that is not empty by its most urgent one.
local function index(classes, class, name)
  local head = redis.call('ZRANGE', class, 0, 0, 'WITHSCORES')
  if head[2] then redis.call('ZADD', classes, head[2], name) else redis.call('ZREM', classes, name) end
end
local function enter(classes, class, name, handoff_id, score_ms)
  redis.call('ZADD', class, score_ms, handoff_id)
  index(classes, class, name)
end
local function leave(classes, class, name, handoff_id)
  redis.call('ZREM', class, handoff_id)
  index(classes, class, name)
end
