-- Say what a server was made with, or make it so.
-- KEYS[1] store  HASH
-- ARGV[1] schema
-- ARGV[2] partitions
-- RETURN opened
--   opened: schema, partitions as recorded
-- AGAIN safe: the first that opens decides
-- WHY A SCRIPT: two processes that open an empty server with different settings must not both be right.
redis.call('HSETNX', KEYS[1], 'schema', ARGV[1])
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[2])
return {'opened', redis.call('HGET', KEYS[1], 'schema'), redis.call('HGET', KEYS[1], 'partitions')}
