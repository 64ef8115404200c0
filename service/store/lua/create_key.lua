-- Keep a new API key.
-- KEYS[1] key  HASH
-- KEYS[2] keys  ZSET of the tenant's
-- KEYS[3] tenants  SET
-- ARGV[1] key_id
-- ARGV[2] tenant
-- ARGV[3] created_at_ms
-- ARGV[4] keys_max
-- ARGV[5..] fields  name, value, name, value
-- RETURN created | full
-- AGAIN safe: the secret is random, so the same key is the same request
-- WHY A SCRIPT: a key that works and is not listed could never be revoked.
if redis.call('EXISTS', KEYS[1]) == 1 then return {'created'} end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then return {'full'} end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[2])
return {'created'}
