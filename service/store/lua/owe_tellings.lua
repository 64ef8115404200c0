-- Owe a channel something; what it is owed already stays as it is.
-- KEYS[1] tellings  HASH telling_id -> telling as JSON
-- KEYS[2] channels  ZSET channel -> when it is looked at
-- KEYS[3] due  ZSET telling_id -> when it is to be told, of this channel
-- KEYS[4] rests  HASH channel -> until when: `ms` with whoever took it, `rest ms` left alone
-- ARGV[1] channel
-- ARGV[2] gather_ms  how long what comes up is gathered for one message
-- ARGV[3] owed_max  how much may be owed to all channels
-- ARGV[4..] owed  telling_id, due_at_ms and JSON, in turn
-- RETURN owed
--   then how many were added, and how many found no room
-- USES look
-- AGAIN safe: a telling that is there is not added again
-- WHY A SCRIPT: a telling without its moment would never be told
local added, refused = 0, 0
for place = 4, #ARGV, 3 do
  local id = ARGV[place]
  if redis.call('HEXISTS', KEYS[1], id) == 0 then
    if redis.call('HLEN', KEYS[1]) < tonumber(ARGV[3]) then
      redis.call('HSET', KEYS[1], id, ARGV[place + 2])
      redis.call('ZADD', KEYS[3], ARGV[place + 1], id)
      added = added + 1
    else
      refused = refused + 1
    end
  end
end
look(KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2])
return { 'owed', added, refused }
