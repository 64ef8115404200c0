-- Take what a channel is owed by now; until `until_ms` nobody else gets it.
-- KEYS[1] tellings  HASH telling_id -> telling as JSON
-- KEYS[2] channels  ZSET channel -> when it is looked at
-- KEYS[3] due  ZSET telling_id -> when it is to be told, of this channel
-- KEYS[4] rests  HASH channel -> until when: `ms` with whoever took it, `rest ms` left alone
-- ARGV[1] channel
-- ARGV[2] now_ms
-- ARGV[3] until_ms  when it is looked at again, should the taker die
-- ARGV[4] limit  how many
-- ARGV[5] gather_ms  how long what comes up is gathered for one message
-- RETURN taken | early
--   taken: the list of tellings, longest due first
-- USES look
-- AGAIN safe: what a lost answer took is looked at again at `until_ms`
-- WHY A SCRIPT: two workers must not tell the same people the same thing at the same time
local at_ms = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not at_ms or tonumber(at_ms) > tonumber(ARGV[2]) then return { 'early' } end
local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[2], 'LIMIT', 0, ARGV[4])) do
  local telling = redis.call('HGET', KEYS[1], id)
  if telling then taken[#taken + 1] = telling else redis.call('ZREM', KEYS[3], id) end
end
if #taken == 0 then
  redis.call('HDEL', KEYS[4], ARGV[1])
else
  redis.call('HSET', KEYS[4], ARGV[1], ARGV[3])
end
look(KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[5])
return { 'taken', taken }
