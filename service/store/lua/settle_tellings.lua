-- Write down what became of the tellings that were taken, and let the channel be looked at again.
-- KEYS[1] tellings  HASH telling_id -> telling as JSON
-- KEYS[2] channels  ZSET channel -> when it is looked at
-- KEYS[3] due  ZSET telling_id -> when it is to be told, of this channel
-- KEYS[4] rests  HASH channel -> until when: `ms` with whoever took it, `rest ms` left alone
-- ARGV[1] channel
-- ARGV[2] until_ms  as it was taken
-- ARGV[3] rests_until_ms  when it is looked at again at the earliest; 0 for at once
-- ARGV[4] gather_ms  how long what comes up is gathered for one message
-- ARGV[5..] settled  telling_id, due_at_ms and JSON, in turn; both empty for one that is owed no more; of two with one id
-- the last holds
-- RETURN settled | overtaken
-- USES look
-- AGAIN safe: the second time it is overtaken, and changes nothing
-- WHY A SCRIPT: a slow worker must not undo what another has done since with the same tellings
local until_ms, woken = string.match(redis.call('HGET', KEYS[4], ARGV[1]) or '', '^(%d+)(.*)')
if until_ms ~= ARGV[2] then return { 'overtaken' } end
for place = 5, #ARGV, 3 do
  local id, due_at_ms = ARGV[place], ARGV[place + 1]
  if due_at_ms == '' then
    redis.call('HDEL', KEYS[1], id)
    redis.call('ZREM', KEYS[3], id)
  else
    redis.call('HSET', KEYS[1], id, ARGV[place + 2])
    redis.call('ZADD', KEYS[3], due_at_ms, id)
  end
end
-- Woken meanwhile: what failed was sent to where it led before.
if ARGV[3] == '0' or woken ~= '' then
  redis.call('HDEL', KEYS[4], ARGV[1])
else
  redis.call('HSET', KEYS[4], ARGV[1], 'rest ' .. ARGV[3])
end
look(KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[4])
return { 'settled' }
