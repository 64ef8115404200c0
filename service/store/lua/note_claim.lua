-- Note where a claim is about to take something, and what the operator has in hand at most once it has.
-- KEYS[1] noted  STRING
-- KEYS[2] tried  STRING
-- ARGV[1] turn  of the claim among those of this operator
-- ARGV[2] in_hand  the most by partition, with spaces between; empty for an operator without a limit
-- ARGV[3] partition  where it takes
-- ARGV[4] noted_kept_ms
-- ARGV[5] tried_kept_ms  0 where no request is known by its key
-- RETURN noted
-- AGAIN safe: the same is noted again
-- WHY A SCRIPT: a later claim has counted the earlier ones, and must not be overwritten by one of them.
local function is_later(key)
  return tonumber(string.match(redis.call('GET', key) or '', '^%d+') or '0') > tonumber(ARGV[1])
end
if not is_later(KEYS[1]) then redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[4]) end
if ARGV[5] ~= '0' and not is_later(KEYS[2]) then
  redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. ARGV[3], 'PX', ARGV[5])
end
return {'noted'}
