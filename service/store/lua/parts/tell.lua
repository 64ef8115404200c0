-- Put a change into the outbox and wake the agents that wait for it. The channel is MOVED_CHANNEL of keys.py.
-- 100000 entries are some days without a worker; past that the oldest are dropped rather than the memory filled.
local function tell(outbox, handoff, kind, actor, at_ms, detail, widened)
  local of = redis.call('HMGET', handoff, 'tenant', 'handoff_id', 'conversation_id', 'version')
  local entry = {'type', kind, 'tenant', of[1], 'handoff_id', of[2], 'conversation_id', of[3], 'actor', actor,
    'at_ms', at_ms, 'detail', detail or '', 'version', of[4]}
  if widened and widened ~= '' then
    entry[#entry + 1] = 'widened'
    entry[#entry + 1] = widened
  end
  redis.call('XADD', outbox, 'MAXLEN', '~', '100000', '*', unpack(entry))
  redis.call('PUBLISH', 'hr:moved', of[2] .. ' ' .. of[4])
end
