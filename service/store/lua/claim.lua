-- Give the first of some handoffs that this operator may have to the operator.
-- KEYS[1] waiting  ZSET of the queue
-- KEYS[2] deadlines  ZSET
-- KEYS[3] leases  ZSET
-- KEYS[4] request  STRING
-- KEYS[5] outbox  STREAM
-- KEYS[6..] handoffs  HASHes, most urgent first
-- ARGV[1] operator
-- ARGV[2] random  hex: the part of the token that nobody can guess
-- ARGV[3] now_ms
-- ARGV[4] lease_expires_at_ms
-- ARGV[5] answer_kept_ms
-- RETURN claimed | repeated | refused
--   claimed: token, the handoff's fields
--   repeated: handoff_id, token and lease_expires_at_ms as they were answered the first time
--   refused: why the last one was: state (empty when unknown), holder, lease_expires_at_ms, reserved_for,
--   reserved_until_at_ms, expires_at_ms
-- USES tell
-- AGAIN safe: its answer is stored under the request
-- WHY A SCRIPT: looking and taking must be one step, or two operators get the same person.
local answered = redis.call('GET', KEYS[4])
if answered then return {'repeated', answered} end
local now_ms = tonumber(ARGV[3])
local refused = {'refused', '', '', '', '', '', ''}
for i = 6, #KEYS do
  local of = redis.call('HMGET', KEYS[i], 'state', 'holder', 'lease_expires_at_ms', 'reserved_for',
    'reserved_until_at_ms', 'expires_at_ms', 'handoff_id')
  local reserved = of[4] and of[4] ~= '' and of[4] ~= ARGV[1] and tonumber(of[5]) > now_ms
  -- One past its deadline is about to be ended, and the agent may act on that already.
  if of[1] == 'waiting' and not reserved and tonumber(of[6]) > now_ms and redis.call('ZREM', KEYS[1], of[7]) == 1 then
    local token = redis.call('HINCRBY', KEYS[i], 'version', 1) .. '-' .. ARGV[2]
    redis.call('HSET', KEYS[i], 'state', 'leased', 'holder', ARGV[1], 'token', token, 'lease_expires_at_ms', ARGV[4],
      'claimed_at_ms', ARGV[3], 'reserved_for', '', 'reserved_until_at_ms', '')
    redis.call('ZREM', KEYS[2], of[7])
    redis.call('ZADD', KEYS[3], ARGV[4], of[7])
    tell(KEYS[5], KEYS[i], 'handoff.claimed', ARGV[1], ARGV[3])
    redis.call('SET', KEYS[4], of[7] .. ' ' .. token .. ' ' .. ARGV[4], 'PX', ARGV[5])
    return {'claimed', token, redis.call('HGETALL', KEYS[i])}
  end
  for n = 1, 6 do refused[n + 1] = of[n] or '' end
end
return refused
