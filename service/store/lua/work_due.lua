-- Tell which machine work one partition has now.
-- KEYS[1] leases ZSET handoff_id -> when its lease ends
-- KEYS[2] deadlines ZSET handoff_id -> when the promise to the customer ends
-- KEYS[3] outbox STREAM of what is to be told
-- KEYS[4] due ZSET delivery_id -> when it is tried next
-- KEYS[5] channels ZSET channel -> when it is looked at
-- ARGV[1] now_ms
-- RETURN due
--   then 0 or more: leases and deadlines that are over, entries in the outbox, deliveries to try, channels to tell
-- AGAIN safe: it only reads
-- WHY A SCRIPT: the scheduler asks five times a second and partition; five answers in one trip keep that cheap
local function over(key)
  return redis.call('ZCOUNT', key, '-inf', ARGV[1])
end
return { 'due', over(KEYS[1]) + over(KEYS[2]), redis.call('XLEN', KEYS[3]), over(KEYS[4]), over(KEYS[5]) }
