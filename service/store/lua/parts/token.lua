-- Return nil when the token holds the handoff at this moment, else what to return to the caller.
local function refusal(handoff, token, now_ms, beats)
  local of = redis.call('HMGET', handoff, 'state', 'token', 'lease_expires_at_ms', 'holder', 'lease_ended_at_ms',
    'ended_token')
  if not of[1] then return {'unknown'} end
  -- Whoever ended it knows that it ended; anyone else has lost the lease, before or by that.
  local open = of[1] == 'waiting' or of[1] == 'leased' or of[1] == 'held'
  if not open and of[6] == token then return {'illegal', of[1]} end
  if not open or of[1] == 'waiting' or of[2] ~= token then return {'lost', of[4] or '', of[5] or ''} end
  if tonumber(of[3]) > tonumber(now_ms) then return nil end
  -- A lease that has run out is lost even before anybody has noticed: somebody may be about to claim.
  local ended_at_ms = ends_at_ms(beats, of[3])
  if ended_at_ms <= tonumber(now_ms) then return {'lost', '', string.format('%d', ended_at_ms)} end
  return nil
end
