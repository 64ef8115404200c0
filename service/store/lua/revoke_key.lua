-- End an API key for ever.
-- KEYS[1] key  HASH
-- ARGV[1] tenant
-- ARGV[2] now_ms
-- RETURN done | unknown
--   done: the key's fields
-- AGAIN safe: the first revocation stands
-- WHY A SCRIPT: a key must not come back to life by a field set on one that is not there.
if redis.call('HGET', KEYS[1], 'tenant') ~= ARGV[1] then return {'unknown'} end
redis.call('HSETNX', KEYS[1], 'revoked_at_ms', ARGV[2])
return {'done', redis.call('HGETALL', KEYS[1])}
