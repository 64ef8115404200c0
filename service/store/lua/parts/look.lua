-- Set when a channel is next looked at: so long after the first that is due, and not while it is left alone.
local function look(channels, due, rests, channel, gather_ms)
  local head = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  if not head[2] then
    redis.call('ZREM', channels, channel)
    return
  end
  local rests_until_ms = tonumber(string.match(redis.call('HGET', rests, channel) or '0', '%d+'))
  local at_ms = math.max(tonumber(head[2]) + tonumber(gather_ms), rests_until_ms)
  redis.call('ZADD', channels, string.format('%d', at_ms), channel)
end
