-- Write down what came of one try: it is done, it is tried again, or it is given up.
-- KEYS[1] due ZSET delivery_id -> when it is tried next
-- KEYS[2] deliveries HASH delivery_id -> delivery as JSON
-- KEYS[3] dead ZSET delivery_id -> when it was given up
-- KEYS[4] dead_letters HASH delivery_id -> delivery as JSON
-- ARGV[1] delivery_id
-- ARGV[2] tries how many the delivery had when it was taken
-- ARGV[3] step done, again or buried
-- ARGV[4] at_ms when it is tried next, or when it was given up
-- ARGV[5] delivery as JSON, with this try in it
-- ARGV[6] dead_max how many dead letters are kept; the oldest go first
-- RETURN done | again | buried | unknown | overtaken
-- AGAIN safe: the second run finds the delivery gone, or with this try counted already
-- WHY A SCRIPT: a slow worker must not undo what another has done since with the same delivery
local known = redis.call('HGET', KEYS[2], ARGV[1])
if not known then
  return { 'unknown' }
end
if ARGV[3] == 'done' then
  redis.call('HDEL', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[1], ARGV[1])
  return { 'done' }
end
if cjson.decode(known).tries ~= tonumber(ARGV[2]) then
  return { 'overtaken' }
end
if ARGV[3] == 'again' then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[5])
  redis.call('ZADD', KEYS[1], ARGV[4], ARGV[1])
  return { 'again' }
end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[4], ARGV[1], ARGV[5])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
while redis.call('ZCARD', KEYS[3]) > tonumber(ARGV[6]) do
  redis.call('HDEL', KEYS[4], redis.call('ZPOPMIN', KEYS[3])[1])
end
return { 'buried' }
