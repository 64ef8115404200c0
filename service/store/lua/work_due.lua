-- Tell which machine work one partition has now, and note that it could be asked, for leases that end while it cannot.
-- KEYS[1] leases ZSET handoff_id -> when its lease ends
-- KEYS[2] deadlines ZSET handoff_id -> when the promise to the customer ends
-- KEYS[3] outbox STREAM of what is to be told
-- KEYS[4] due ZSET delivery_id -> when it is tried next
-- KEYS[5] channels ZSET channel -> when it is looked at
-- KEYS[6] beats HASH
-- ARGV[1] now_ms
-- RETURN due
--   then 0 or more: leases and deadlines that are over, entries in the outbox, deliveries to try, channels to tell
-- USES clock, outage
-- AGAIN safe: a beat is noted once a second at most
-- WHY A SCRIPT: the scheduler asks five times a second and partition; five answers in one trip keep that cheap
local function over(key, to)
  return redis.call('ZCOUNT', key, '-inf', to)
end
local leases = 0
-- Where nobody has anything in hand nobody can lose it, and no beat is noted; nor is it an outage then that none was.
if redis.call('EXISTS', KEYS[1]) == 1 then
  leases = over(KEYS[1], looked_at_to(beat(KEYS[6]), ARGV[1]))
elseif redis.call('EXISTS', KEYS[6]) == 1 then
  redis.call('DEL', KEYS[6])
end
return { 'due', leases + over(KEYS[2], ARGV[1]), redis.call('XLEN', KEYS[3]), over(KEYS[4], ARGV[1]),
  over(KEYS[5], ARGV[1]) }
