-- Add deliveries that are due at once; one that is owed already stays as it is.
-- KEYS[1] due ZSET delivery_id -> when it is tried next
-- KEYS[2] deliveries HASH delivery_id -> delivery as JSON
-- KEYS[3] dead ZSET delivery_id -> when it was given up
-- KEYS[4] dead_letters HASH delivery_id -> delivery as JSON
-- ARGV[1] now_ms
-- ARGV[2] owed_max how many may be owed at once; those past it become dead letters untried
-- ARGV[3] dead_max how many dead letters are kept; the oldest go first
-- ARGV[4..] owed delivery_id and JSON, in turn
-- RETURN owed
--   then how many were added
-- AGAIN safe: a delivery that is there is not added again
-- WHY A SCRIPT: a delivery that is in one of the two and not in the other would never be tried, or never end
local added = 0
for place = 4, #ARGV, 2 do
  local id, delivery = ARGV[place], ARGV[place + 1]
  if redis.call('HEXISTS', KEYS[2], id) == 0 then
    if redis.call('HLEN', KEYS[2]) < tonumber(ARGV[2]) then
      redis.call('HSET', KEYS[2], id, delivery)
      redis.call('ZADD', KEYS[1], ARGV[1], id)
      added = added + 1
    else
      redis.call('HSET', KEYS[4], id, delivery)
      redis.call('ZADD', KEYS[3], ARGV[1], id)
      while redis.call('ZCARD', KEYS[3]) > tonumber(ARGV[3]) do
        redis.call('HDEL', KEYS[4], redis.call('ZPOPMIN', KEYS[3])[1])
      end
    end
  end
end
return { 'owed', added }
