-- Owe a dead letter again, from the first try.
-- KEYS[1] dead ZSET delivery_id -> when it was given up
-- KEYS[2] dead_letters HASH delivery_id -> delivery as JSON
-- KEYS[3] due ZSET delivery_id -> when it is tried next
-- KEYS[4] deliveries HASH delivery_id -> delivery as JSON
-- ARGV[1] delivery_id
-- ARGV[2] now_ms
-- ARGV[3] delivery as JSON, with its tries forgotten
-- RETURN owed | unknown
-- AGAIN safe: the second run finds no dead letter, which is also told when somebody else was first
-- WHY A SCRIPT: a kill in between would lose the delivery from both places
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then
  return { 'unknown' }
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[4], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
return { 'owed' }
