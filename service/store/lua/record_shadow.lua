-- Add to what a version in shadow would have decided: counts, and the latest turns on which it differs.
-- KEYS[1] shadow  HASH of counts
-- KEYS[2] differences  LIST
-- KEYS[3] written  STRING that says that this very write was done
-- ARGV[1] now_ms
-- ARGV[2] kept_ms
-- ARGV[3] differences_max
-- ARGV[4] fields_max
-- ARGV[5] counts  how many pairs of name and number follow; after them the differences, JSON
-- ARGV[6] written_kept_ms
-- ARGV[7..] rest
-- RETURN recorded
-- AGAIN safe: what was written is not counted again
-- WHY A SCRIPT: a difference that is kept and not counted would make the share of differences wrong.
if not redis.call('SET', KEYS[3], '', 'NX', 'PX', ARGV[6]) then return {'recorded'} end
local last = 6 + 2 * tonumber(ARGV[5])
for place = 7, last, 2 do
  -- Rules come and go with versions, but one version has only so many; the limit is for what nobody has thought of.
  if redis.call('HEXISTS', KEYS[1], ARGV[place]) == 1 or redis.call('HLEN', KEYS[1]) < tonumber(ARGV[4]) then
    redis.call('HINCRBY', KEYS[1], ARGV[place], ARGV[place + 1])
  end
end
redis.call('HSETNX', KEYS[1], 'since_at_ms', ARGV[1])
redis.call('HSET', KEYS[1], 'until_at_ms', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if #ARGV > last then
  redis.call('LPUSH', KEYS[2], unpack(ARGV, last + 1))
  redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[3]) - 1)
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return {'recorded'}
