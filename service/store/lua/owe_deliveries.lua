-- Add deliveries that are due at once; one that is owed already stays as it is.
-- KEYS[1] due ZSET delivery_id -> when it is tried next
-- KEYS[2] deliveries HASH delivery_id -> delivery as JSON
-- ARGV[1] now_ms
-- ARGV[2] owed_max how many may be owed at once
-- ARGV[3..] deliveries delivery_id and JSON, in turn
-- RETURN owed
--   then how many were added, and the list of ids for which there was no room
-- AGAIN safe: a delivery that is there is not added again
-- WHY A SCRIPT: a delivery that is in one of the two and not in the other would never be tried, or never end
local added, no_room = 0, {}
for place = 3, #ARGV, 2 do
  local id = ARGV[place]
  if redis.call('HEXISTS', KEYS[2], id) == 0 then
    if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[2]) then
      no_room[#no_room + 1] = id
    else
      redis.call('HSET', KEYS[2], id, ARGV[place + 1])
      redis.call('ZADD', KEYS[1], ARGV[1], id)
      added = added + 1
    end
  end
end
return { 'owed', added, no_room }
