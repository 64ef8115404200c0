-- Tell which leases of one partition are to be looked at now: those that ended, and those that an outage makes longer.
-- KEYS[1] leases  ZSET
-- KEYS[2] beats  HASH
-- ARGV[1] now_ms
-- ARGV[2] read_max
-- RETURN due
--   due: the handoffs' ids, each with when its lease ends as it says, longest ago first
-- USES clock, outage
-- AGAIN safe: an outage is noted once
-- WHY A SCRIPT: up to where to look depends on the outage that is noted, and it is one round trip.
local _, until_ms = outage(KEYS[2])
return {'due', redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', looked_at_to(until_ms, ARGV[1]), 'WITHSCORES', 'LIMIT', 0,
  ARGV[2])}
