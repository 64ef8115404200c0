-- Spare leases that ended while the store could not be asked, or so soon after that nobody could renew them.
-- A worker has a beat noted each second (work_due). Where none came for OUTAGE_MS the store was away, or no worker was
-- there to tell; whoever looks first notes from when until when, once for each last beat. All moments are of this
-- server's clock. The numbers are those of rules/routing/leases.py, and so is what `noted` says there.
local OUTAGE_MS, SPARED_MS, OUTAGES_MAX = 3000, 15000, 4
local function outage(beats)
  local of = redis.call('HMGET', beats, 'beat_at_ms', 'noted_at_ms', 'from_ms', 'until_ms', 'outages')
  local from_ms, until_ms, at_ms = tonumber(of[3]), tonumber(of[4]), clock_ms()
  if of[1] and of[1] ~= of[2] and at_ms - of[1] > OUTAGE_MS then
    local goes_on = until_ms and tonumber(of[1]) <= until_ms + SPARED_MS
    local outages = goes_on and tonumber(of[5]) + 1 or 1
    if outages <= OUTAGES_MAX then
      from_ms, until_ms = goes_on and from_ms or tonumber(of[1]), at_ms
      redis.call('HSET', beats, 'noted_at_ms', of[1], 'from_ms', string.format('%d', from_ms),
        'until_ms', string.format('%d', until_ms), 'outages', outages)
    end
  end
  return from_ms, until_ms, tonumber(of[1]), at_ms
end
local function beat(beats)
  local _, until_ms, last_at_ms, at_ms = outage(beats)
  -- A clock that was set back must not stop the beats.
  if not last_at_ms or at_ms - last_at_ms >= 1000 or at_ms < last_at_ms then
    redis.call('HSET', beats, 'beat_at_ms', string.format('%d', at_ms))
  end
  return until_ms
end
local function ends_at_ms(beats, said_at_ms)
  local from_ms, until_ms = outage(beats)
  local at_ms = tonumber(said_at_ms)
  if until_ms and from_ms <= at_ms and at_ms < until_ms + SPARED_MS then return until_ms + SPARED_MS end
  return at_ms
end
-- Up to where leases are to be looked at: after an outage also those that are to end later than they say.
local function looked_at_to(until_ms, now_ms)
  if until_ms and tonumber(now_ms) < until_ms + SPARED_MS then
    return string.format('(%d', until_ms + SPARED_MS)
  end
  return now_ms
end
