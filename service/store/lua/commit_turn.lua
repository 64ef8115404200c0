-- Everything that a turn changes where no handoff is open and none follows from it: answer, history, transcript.
-- KEYS[1] conversation  HASH
-- KEYS[2] turns  ZSET of records
-- KEYS[3] transcript  ZSET of texts
-- KEYS[4] decision  STRING
-- ARGV[1] version  of the conversation that was thought with, 0 for a new one
-- ARGV[2] order  place of the turn among the others, empty for the order of arrival
-- ARGV[3] record  JSON: what later turns count
-- ARGV[4] said  JSON: what an operator reads
-- ARGV[5] answer  JSON: the Decision without a position
-- ARGV[6] now_ms
-- ARGV[7] turns_max
-- ARGV[8] transcript_max
-- ARGV[9] kept_ms  how long an answer and a quiet conversation are kept, give or take a thirtieth
-- RETURN decided | moved | stored
--   decided: the stored answer; moved: think again
-- AGAIN safe: the second time it finds its own answer
-- WHY A SCRIPT: as commit_decision, of which this is what nearly every turn needs: 5 commands and not 12.
local seen = redis.call('HMGET', KEYS[1], 'version', 'last_order', 'turns_count', 'renew_at_ms')
if (seen[1] or '0') ~= ARGV[1] then
  local stored = redis.call('GET', KEYS[4])
  if stored then return {'decided', stored} end
  return {'moved'}
end
if not redis.call('SET', KEYS[4], '\n' .. ARGV[5], 'NX', 'PX', ARGV[9]) then
  return {'decided', redis.call('GET', KEYS[4])}
end

local last, count, now_ms = tonumber(seen[2]) or -1, tonumber(seen[3]) or 0, tonumber(ARGV[6])
local order = tonumber(ARGV[2]) or (last + 1)
redis.call('ZADD', KEYS[2], order, ARGV[3])
redis.call('ZADD', KEYS[3], order, ARGV[4])
if count >= tonumber(ARGV[7]) then redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[7])) end
if count >= tonumber(ARGV[8]) then redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[8])) end

local changed = {'version', string.format('%d', tonumber(ARGV[1]) + 1),
  'last_order', string.format('%d', math.max(last, order)), 'turns_count', string.format('%d', count + 1)}
if ARGV[1] == '0' then
  changed[7], changed[8] = 'started_at_ms', ARGV[6]
end
-- What a conversation has lives on with it. Three commands a turn would say so to the millisecond, and cost as much as
-- all the others: once in a thirtieth of that time is enough.
local renewed = not (tonumber(seen[4]) and now_ms < tonumber(seen[4]))
if renewed then
  changed[#changed + 1] = 'renew_at_ms'
  changed[#changed + 1] = string.format('%d', now_ms + tonumber(ARGV[9]) / 30)
end
redis.call('HSET', KEYS[1], unpack(changed))
if renewed then
  for place = 1, 3 do redis.call('PEXPIRE', KEYS[place], ARGV[9]) end
end
return {'stored'}
