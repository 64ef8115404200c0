-- End a handoff: its state, the fence down, and the history before this moment cut, so that nothing fires on it again.
-- Of those that have ended the latest 10000 are listed, as long as they are kept.
local function finish(handoff, conversation, turns, open, deadlines, loads, group, calls, ended, state, resolution,
  at_ms, kept_ms)
  lay_down(loads, handoff)
  local of = redis.call('HMGET', handoff, 'handoff_id', 'token', 'lease_ended_at_ms', 'kind', 'replies_count',
    'replies_told')
  local handoff_id = of[1]
  redis.call('HSET', handoff, 'state', state, 'resolution', resolution, 'ended_at_ms', at_ms, 'holder', '',
    'token', '', 'lease_expires_at_ms', '', 'hold_reason', '', 'reserved_for', '', 'reserved_until_at_ms', '',
    'lease_ended_at_ms', (of[2] and of[2] ~= '') and at_ms or of[3] or '', 'ended_token', of[2] or '')
  redis.call('HINCRBY', handoff, 'version', 1)
  redis.call('PEXPIRE', handoff, kept_ms)
  redis.call('ZREM', open, handoff_id)
  redis.call('ZREM', deadlines, handoff_id)
  redis.call('ZREM', calls, handoff_id)
  redis.call('ZADD', ended, at_ms, handoff_id)
  redis.call('ZREMRANGEBYSCORE', ended, '-inf', string.format('%d', tonumber(at_ms) - tonumber(kept_ms)))
  redis.call('ZREMRANGEBYRANK', ended, 0, -10001)
  stand_down(group, deadlines, leads(handoff), at_ms)
  local last_order = redis.call('HGET', conversation, 'last_order') or ''
  redis.call('HSET', conversation, 'open_handoff', '', 'last_handoff_at_ms', at_ms, 'cut_order', last_order,
    'renew_at_ms', '')
  -- The next turn's answer tells the agent how it ended; of a review only what a person had to say.
  local text = cjson.decode(resolution).text
  local said = state == 'handed_back' or (text and text ~= cjson.null and text ~= '')
    or (tonumber(of[5]) or 0) > (tonumber(of[6]) or 0)
  if of[4] ~= 'review' or said then redis.call('HSET', conversation, 'ended_handoff', handoff_id) end
  redis.call('HINCRBY', conversation, 'handoffs_count', 1)
  redis.call('HINCRBY', conversation, 'version', 1)
  redis.call('PEXPIRE', conversation, kept_ms)
  redis.call('DEL', turns)
end
