-- Let a call that is owed still when a handoff ends wait as the open handoff of its conversation. Its fields are written.
local function owe(handoff, call, conversation, waiting, open, class, classes, deadlines, queues, group, calls, outbox,
  actor, at_ms)
  redis.call('HINCRBY', call, 'version', 1)
  local of = redis.call('HMGET', call, 'handoff_id', 'score_ms', 'timer_at_ms', 'class', 'queue', 'group')
  redis.call('HSET', handoff, 'call_id', of[1])
  redis.call('ZADD', waiting, of[2], of[1])
  redis.call('ZADD', open, of[2], of[1])
  redis.call('SADD', queues, of[5])
  enter(classes, class, of[4], of[1], of[2])
  redis.call('ZADD', deadlines, of[3], of[1])
  local promised_at_ms = cjson.decode(redis.call('HGET', call, 'call')).promised_at_ms
  redis.call('ZADD', calls, string.format('%d', promised_at_ms), of[1])
  if of[6] and of[6] ~= '' then
    redis.call('HSETNX', group, 'since_ms', at_ms)
    redis.call('HINCRBY', group, 'grouped', 1)
    if redis.call('HEXISTS', group, 'leader') == 0 then redis.call('ZADD', deadlines, at_ms, of[4]) end
  end
  redis.call('HSET', conversation, 'open_handoff', of[1])
  redis.call('PERSIST', conversation)
  tell(outbox, call, 'handoff.call_owed', actor, at_ms, redis.call('HGET', handoff, 'handoff_id'))
end
