-- Keep room for something that an operator is about to get, and tell how much of it those keep who came before.
-- KEYS[1] room  HASH keeper -> its turn, its weight, and when it ends by this server's clock
-- ARGV[1] keeper  who gives: one try to give something
-- ARGV[2] weight
-- ARGV[3] kept_ms  from now; whoever comes again before that has the turn that they had
-- ARGV[4] keepers_max
-- RETURN kept | crowded
--   kept: the weight that those before keep; crowded: as many as there may be keep some already, and this one does not
-- USES clock
-- AGAIN safe: the same keeper has the same turn
-- WHY A SCRIPT: of two who keep room at the same moment exactly one must know of the other.
local now_ms = clock_ms()
local all = redis.call('HGETALL', KEYS[1])
local before, mine, last, keepers = {}, nil, 0, 0
for i = 1, #all, 2 do
  local turn, weight, until_ms = string.match(all[i + 1], '(%d+) (%d+) (%d+)')
  turn = tonumber(turn)
  -- Whoever came after the end of another has not counted that one, so its turn is over for good.
  if tonumber(until_ms) <= now_ms then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] == ARGV[1] then
    mine = turn
  else
    before[turn] = tonumber(weight)
    keepers = keepers + 1
  end
  last = math.max(last, turn)
end
if not mine and keepers >= tonumber(ARGV[4]) then return {'crowded'} end
mine = mine or last + 1
local kept = 0
for turn, weight in pairs(before) do
  if turn < mine then kept = kept + weight end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %d %d', mine, ARGV[2], now_ms + ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'kept', string.format('%d', kept)}
