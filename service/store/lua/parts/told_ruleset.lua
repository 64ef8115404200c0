-- Write a step of a tenant's rulesets down, tell it, and wake the processes that decide with them. The channel is
-- RULESETS_CHANNEL of keys.py. 2000 steps are years of changes by people.
local function told_ruleset(steps, outbox, tenant, kind, version, about, actor, at_ms)
  redis.call('RPUSH', steps, cjson.encode({ kind = kind, version = tonumber(version), about = about, actor = actor,
    at_ms = tonumber(at_ms) }))
  redis.call('LTRIM', steps, -2000, -1)
  redis.call('XADD', outbox, 'MAXLEN', '~', '100000', '*', 'type', 'ruleset.' .. kind, 'tenant', tenant,
    'handoff_id', '', 'conversation_id', '', 'actor', actor, 'at_ms', at_ms, 'ruleset_version', version)
  redis.call('PUBLISH', 'hr:rulesets', tenant)
end
