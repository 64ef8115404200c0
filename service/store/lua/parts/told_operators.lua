-- Put a change of the declared operators into the outbox; whose it was stands in the actor.
local function told_operators(outbox, tenant, kind, actor, at_ms)
  redis.call('XADD', outbox, 'MAXLEN', '~', '100000', '*', 'type', 'operators.' .. kind, 'tenant', tenant,
    'handoff_id', '', 'conversation_id', '', 'actor', actor, 'at_ms', at_ms)
end
