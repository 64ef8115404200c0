-- Keep what is declared of operators: of some, or of all of them at once.
-- KEYS[1] operators  HASH name -> JSON
-- KEYS[2] present  ZSET name -> until when they are believed to be there
-- KEYS[3] outbox  STREAM
-- ARGV[1] tenant
-- ARGV[2] actor
-- ARGV[3] now_ms
-- ARGV[4] replace  `replace` when whoever is not named is not declared any more, else empty
-- ARGV[5] operators_max
-- ARGV[6..] declared  name, JSON, name, JSON
-- RETURN declared | full
--   declared: how many there are now; full: nothing is done, it would be more than operators_max
-- USES told_operators
-- AGAIN safe: declared twice is declared once
-- WHY A SCRIPT: a claim between two steps would meet half of a team.
local after, named = 0, {}
for i = 6, #ARGV, 2 do named[ARGV[i]] = true; after = after + 1 end
if ARGV[4] ~= 'replace' then
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do if not named[name] then after = after + 1 end end
end
if after > tonumber(ARGV[5]) then return {'full'} end
if ARGV[4] == 'replace' then
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if not named[name] then
      redis.call('HDEL', KEYS[1], name)
      redis.call('ZREM', KEYS[2], name)
    end
  end
end
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
told_operators(KEYS[3], ARGV[1], 'declared', ARGV[2], ARGV[3])
return {'declared', tostring(after)}
