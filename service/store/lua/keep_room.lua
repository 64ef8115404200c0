-- Keep room for something that an operator is about to get, and tell how much of it those keep who came before.
-- KEYS[1] room  HASH keeper -> its turn, its weight, when it ends by this server's clock, and the request it answers
-- KEYS[2] noted  STRING what the last claim of theirs noted before it took anything: its turn, and what they had at most
-- KEYS[3] tried  STRING the turn and the partition in which the same request was about to take something
-- ARGV[1] keeper  who gives: one try to give something
-- ARGV[2] weight
-- ARGV[3] kept_ms  from now; whoever comes again before that has the turn that they had
-- ARGV[4] keepers_max
-- ARGV[5] request  empty for none
-- RETURN kept | crowded
--   kept: the weight that those before keep; how many of those answer the same request; the turn; what was noted, and
--   where the request was tried, each empty for nothing
--   crowded: as many as there may be keep some already, and this one does not
-- USES clock
-- AGAIN safe: the same keeper has the same turn
-- WHY A SCRIPT: of two who keep room at the same moment exactly one must know of the other.
local now_ms = clock_ms()
local all = redis.call('HGETALL', KEYS[1])
local before, same, mine, last, keepers = {}, {}, nil, 0, 0
for i = 1, #all, 2 do
  local turn, weight, until_ms, request = string.match(all[i + 1], '^(%d+) (%d+) (%d+) ?(.*)$')
  turn = tonumber(turn)
  -- Whoever came after the end of another has not counted that one, so its turn is over for good.
  if tonumber(until_ms) <= now_ms then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] == ARGV[1] then
    mine = turn
  else
    before[turn] = tonumber(weight)
    same[turn] = request ~= '' and request == ARGV[5]
    keepers = keepers + 1
  end
  last = math.max(last, turn)
end
if not mine and keepers >= tonumber(ARGV[4]) then return {'crowded'} end
local noted = redis.call('GET', KEYS[2]) or ''
-- What is noted outlives the room. Turns go on behind it, and behind those of whoever kept room and noted nothing.
mine = mine or math.max(last, tonumber(string.match(noted, '^%d+') or '0'), now_ms) + 1
local kept, twins = 0, 0
for turn, weight in pairs(before) do
  if turn < mine then
    kept = kept + weight
    if same[turn] then twins = twins + 1 end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %d %d %s', mine, ARGV[2], now_ms + ARGV[3], ARGV[5]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'kept', string.format('%d', kept), string.format('%d', twins), string.format('%d', mine), noted,
  string.match(redis.call('GET', KEYS[3]) or '', '%d+$') or ''}
