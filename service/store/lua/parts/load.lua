-- Count what an operator has in hand, by weight; one who has nothing is not in the list.
local function lay_down(loads, handoff)
  local of = redis.call('HMGET', handoff, 'holder', 'weight')
  if not of[1] or of[1] == '' or not of[2] or of[2] == '' then return end
  if redis.call('HINCRBY', loads, of[1], -tonumber(of[2])) <= 0 then redis.call('HDEL', loads, of[1]) end
  redis.call('HSET', handoff, 'weight', '')
end
