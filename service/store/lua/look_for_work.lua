-- What of a partition operators who ask for work must know, at one moment.
-- KEYS[1] classes  ZSET
-- KEYS[2] loads  HASH operator -> weight
-- KEYS[3] leases  ZSET
-- KEYS[4] deadlines  ZSET
-- KEYS[5..] looked_at  the ZSETs of classes whose first ones are wanted
-- ARGV[1] classes_max
-- ARGV[2] candidates_max  of each class
-- ARGV[3] before  the first urgency of what is given to nobody, as a bound that is left out: members of floods
-- ARGV[4..] operators  whose weight in hand is wanted
-- RETURN found
--   found: the first lease and the first deadline to end, each with its moment; the operators' weights in hand; the
--   classes before that bound with the urgency of their first; for each class that was looked at its first ones with
--   theirs; and the moment of this server's clock
-- USES clock
-- AGAIN safe: it writes nothing
-- WHY A SCRIPT: what is due, who waits and who asks belong to one moment, and it is one round trip.
local firsts = {}
for i = 5, #KEYS do firsts[i - 4] = redis.call('ZRANGE', KEYS[i], 0, ARGV[2] - 1, 'WITHSCORES') end
return {
  'found',
  redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES'),
  redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES'),
  redis.call('HMGET', KEYS[2], unpack(ARGV, 4)),
  redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[3], 'WITHSCORES', 'LIMIT', 0, ARGV[1]),
  firsts,
  clock_ms(),
}
