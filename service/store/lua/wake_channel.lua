-- Leave a channel alone no longer: it was mended, or a test has arrived, and what it is owed is told as it falls due.
-- KEYS[1] channels  ZSET channel -> when it is looked at
-- KEYS[2] due  ZSET telling_id -> when it is to be told, of this channel
-- KEYS[3] rests  HASH channel -> until when: `ms` with whoever took it, `rest ms` left alone
-- ARGV[1] channel
-- ARGV[2] gather_ms  how long what comes up is gathered for one message
-- RETURN woken
-- USES look
-- AGAIN safe: the second time it is awake
-- WHY A SCRIPT: a worker may send to where the channel led before at this moment, and must not let it rest afterwards
local rests = redis.call('HGET', KEYS[3], ARGV[1])
if rests and string.match(rests, '^%d+$') then
  redis.call('HSET', KEYS[3], ARGV[1], rests .. ' woken')
elseif rests and string.match(rests, '^rest') then
  redis.call('HDEL', KEYS[3], ARGV[1])
end
look(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])
return { 'woken' }
