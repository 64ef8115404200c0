-- Keep a packet that was built ahead of a claim, unless its conversation has gone on meanwhile.
-- KEYS[1] conversation  HASH
-- KEYS[2] packet  STRING
-- ARGV[1] version  of the conversation that it was built from
-- ARGV[2] body  the stamp, a line end, the packed text
-- ARGV[3] kept_ms
-- RETURN kept | moved
--   moved: nothing was written
-- AGAIN safe: the second time it writes the same, or nothing
-- WHY A SCRIPT: each turn takes the packet away, and one built before that turn must not come after it.
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return {'moved'} end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return {'kept'}
