-- Take the deliveries that have waited longest; until `until_ms` nobody else gets them.
-- KEYS[1] due ZSET delivery_id -> when it is tried next
-- KEYS[2] deliveries HASH delivery_id -> delivery as JSON
-- ARGV[1] now_ms
-- ARGV[2] until_ms when they are due again, should the taker die
-- ARGV[3] limit how many
-- RETURN taken
--   then the list of deliveries
-- AGAIN safe: what a lost answer took is due again at `until_ms`
-- WHY A SCRIPT: two workers must not try the same delivery at the same time
local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  local delivery = redis.call('HGET', KEYS[2], id)
  if delivery then
    redis.call('ZADD', KEYS[1], ARGV[2], id)
    taken[#taken + 1] = delivery
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return { 'taken', taken }
