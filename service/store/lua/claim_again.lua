-- Give whoever has a handoff in hand a new token for it; the one before proves nothing any more.
-- KEYS[1] handoff  HASH
-- KEYS[2] leases  ZSET
-- KEYS[3] request  STRING
-- KEYS[4] outbox  STREAM
-- KEYS[5] beats  HASH
-- ARGV[1] operator
-- ARGV[2] random  hex: the part of the token that nobody can guess
-- ARGV[3] now_ms
-- ARGV[4] lease_expires_at_ms  of a lease; one that is held stays so until the moment it was held for
-- ARGV[5] answer_kept_ms
-- RETURN claimed | repeated | not_theirs
--   claimed: token, when the lease ends, the handoff's fields
--   repeated: handoff_id, token and lease_expires_at_ms as they were answered the first time
--   not_theirs: it is not, or no longer, in this operator's hands
-- USES clock, outage, keep, tell
-- AGAIN safe: its answer is stored under the request
-- WHY A SCRIPT: the old token must end in the step that makes the new one, or two windows act at once.
local answered = redis.call('GET', KEYS[3])
if answered then return {'repeated', answered} end
local of = redis.call('HMGET', KEYS[1], 'state', 'holder', 'lease_expires_at_ms', 'handoff_id', 'hold_reason')
local has = (of[1] == 'leased' or of[1] == 'held') and of[2] == ARGV[1]
if not has then return {'not_theirs'} end
local held_until_at_ms = of[3]
if tonumber(of[3]) <= tonumber(ARGV[3]) then
  held_until_at_ms = string.format('%d', ends_at_ms(KEYS[5], of[3]))
  -- A lease that has run out is lost even before anybody has noticed: somebody may be about to claim.
  if tonumber(held_until_at_ms) <= tonumber(ARGV[3]) then return {'not_theirs'} end
end
local until_at_ms = of[1] == 'held' and held_until_at_ms or ARGV[4]
keep(KEYS[1], KEYS[2], of[1], of[1] ~= 'held' and ARGV[3] or nil, until_at_ms, of[5] or '')
-- The token begins with the version that its owner has read, as at a claim.
local token = redis.call('HINCRBY', KEYS[1], 'version', 1) .. '-' .. ARGV[2]
redis.call('HSET', KEYS[1], 'token', token, 'lease_ended_at_ms', ARGV[3])
tell(KEYS[4], KEYS[1], 'handoff.claimed_again', ARGV[1], ARGV[3])
redis.call('SET', KEYS[3], of[4] .. ' ' .. token .. ' ' .. until_at_ms, 'PX', ARGV[5])
return {'claimed', token, until_at_ms, redis.call('HGETALL', KEYS[1])}
