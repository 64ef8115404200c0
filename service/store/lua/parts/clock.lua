-- Tell the moment by this server's own clock, in milliseconds: a span that two steps share is measured by one clock only.
local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
