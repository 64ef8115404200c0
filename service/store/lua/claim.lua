-- Give the first of some handoffs that this operator may have to the operator.
-- KEYS[1] classes  ZSET
-- KEYS[2] deadlines  ZSET
-- KEYS[3] leases  ZSET
-- KEYS[4] request  STRING
-- KEYS[5] outbox  STREAM
-- KEYS[6] loads  HASH operator -> weight of what they have in hand in this partition
-- KEYS[7] claimed_at  HASH operator -> when they last got a handoff
-- KEYS[8..] candidates  by fives, most urgent first: the handoff's HASH, the waiting ZSET of its queue, its class ZSET,
-- the LIST of how long its queue's waited, the STRING of its packet
-- ARGV[1] operator
-- ARGV[2] random  hex: the part of the token that nobody can guess
-- ARGV[3] now_ms
-- ARGV[4] lease_expires_at_ms
-- ARGV[5] answer_kept_ms
-- ARGV[6] room  weight that the operator may have in hand in this partition, empty for any
-- ARGV[7] weights  of a review, a hold and an escalation, with spaces between
-- ARGV[8] assignment  JSON: why this operator
-- ARGV[9] class_prefix  of the keys of classes
-- ARGV[10] assignments_max  that one handoff keeps
-- ARGV[11] waits_max  how many of the waits of a queue are kept
-- ARGV[12] drill_mark  with which the conversations of fire drills begin: they weigh nothing
-- ARGV[13] until_ms  of this server's clock: past it nothing is taken; empty for never
-- RETURN claimed | repeated | refused | full | late
--   claimed: token, the handoff's fields, the packet that was built ahead, empty when there is none
--   repeated: handoff_id, token and lease_expires_at_ms as they were answered the first time
--   refused: why the last one was: state (empty when unknown), holder, lease_expires_at_ms, reserved_for,
--   reserved_until_at_ms, expires_at_ms
--   full: the operator has no room for any that is free; with what is in hand here
--   late: nothing was done, as what the caller knows of the operator's room is too old by now
-- USES class, assign, clock, tell
-- AGAIN safe: its answer is stored under the request
-- WHY A SCRIPT: looking and taking must be one step, or two operators get the same person.
local answered = redis.call('GET', KEYS[4])
if answered then return {'repeated', answered} end
if ARGV[13] ~= '' and clock_ms() > tonumber(ARGV[13]) then return {'late'} end
local now_ms = tonumber(ARGV[3])
local in_hand = tonumber(redis.call('HGET', KEYS[6], ARGV[1]) or '0')
local review, hold, escalate = string.match(ARGV[7], '(%d+) (%d+) (%d+)')
local weights = {review = review, hold = hold, escalate = escalate}
local heavy = false
local refused = {'refused', '', '', '', '', '', ''}
for i = 8, #KEYS, 5 do
  -- Of those that somebody took a moment ago, only the last one is asked why.
  if i + 5 > #KEYS or redis.call('HGET', KEYS[i], 'state') == 'waiting' then
    local of = redis.call('HMGET', KEYS[i], 'state', 'holder', 'lease_expires_at_ms', 'reserved_for',
      'reserved_until_at_ms', 'expires_at_ms', 'handoff_id', 'class', 'kind', 'class_freed', 'timer_freed_at_ms',
      'timer_held_at_ms', 'queue', 'told', 'opened_at_ms', 'priority', 'kept_as', 'sent_by', 'assignments',
      'conversation_id')
    local reserved = of[4] and of[4] ~= '' and of[4] ~= ARGV[1] and tonumber(of[5]) > now_ms
    -- One past its deadline is about to be ended, and the agent may act on that already.
    local free = of[1] == 'waiting' and not reserved and tonumber(of[6]) > now_ms
    local drilled = of[20] and string.sub(of[20], 1, string.len(ARGV[12])) == ARGV[12]
    -- A drill is for somebody whom no customer waits for, not even one for whom they have no room.
    local fits = free and not (drilled and heavy) and (drilled or ARGV[6] == ''
      or in_hand + tonumber(weights[of[9]]) <= tonumber(ARGV[6]))
    heavy = heavy or (free and not fits and not drilled)
    if fits and KEYS[i + 2] == ARGV[9] .. of[8] and redis.call('ZREM', KEYS[i + 1], of[7]) == 1 then
      local version = redis.call('HINCRBY', KEYS[i], 'version', 1)
      local token = version .. '-' .. ARGV[2]
      local assignments = assign(of[19], ARGV[8], ARGV[10], of[16], of[6], of[10], of[4] == ARGV[1] and of[17] or '',
        of[18])
      redis.call('HSET', KEYS[i], 'state', 'leased', 'holder', ARGV[1], 'token', token, 'lease_expires_at_ms', ARGV[4],
        'lease_began_at_ms', ARGV[3], 'claimed_at_ms', ARGV[3], 'reserved_for', '', 'reserved_until_at_ms', '', 'class', of[10],
        'timer_at_ms', of[11], 'weight', drilled and '' or weights[of[9]], 'assignments', assignments, 'acknowledged_by', '',
        'answered_version', version)
      leave(KEYS[1], KEYS[i + 2], of[8], of[7])
      if of[12] ~= '' then redis.call('ZADD', KEYS[2], of[12], of[7]) else redis.call('ZREM', KEYS[2], of[7]) end
      if not drilled then
        redis.call('HINCRBY', KEYS[6], ARGV[1], weights[of[9]])
        redis.call('HSET', KEYS[7], ARGV[1], ARGV[3])
      end
      redis.call('ZADD', KEYS[3], ARGV[4], of[7])
      -- A wait says something of the queue for which it was told, as long as the handoff is still there.
      if of[14] and of[14] ~= '' and cjson.decode(of[14]).queue == of[13] then
        redis.call('LPUSH', KEYS[i + 3], string.format('["%s",%s,%d,true,%s]', of[7], of[15],
          math.max(0, now_ms - tonumber(of[15])), of[14]))
        redis.call('LTRIM', KEYS[i + 3], 0, ARGV[11] - 1)
      end
      tell(KEYS[5], KEYS[i], 'handoff.claimed', ARGV[1], ARGV[3])
      redis.call('SET', KEYS[4], of[7] .. ' ' .. token .. ' ' .. ARGV[4], 'PX', ARGV[5])
      return {'claimed', token, redis.call('HGETALL', KEYS[i]), redis.call('GET', KEYS[i + 4]) or ''}
    end
    for n = 1, 6 do refused[n + 1] = of[n] or '' end
  end
end
if heavy then return {'full', tostring(in_hand)} end
return refused
