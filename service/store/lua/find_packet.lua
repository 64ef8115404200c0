-- The packet that was built ahead, and how far its conversation has come.
-- KEYS[1] conversation  HASH
-- KEYS[2] packet  STRING
-- RETURN found
--   found: the conversation's version and the packet, each empty when it is not there
-- AGAIN safe: it writes nothing
-- WHY A SCRIPT: a packet is good for one version only, and it is one round trip.
return {'found', redis.call('HGET', KEYS[1], 'version') or '', redis.call('GET', KEYS[2]) or ''}
