-- Put what became known later on record.
-- KEYS[1] outcomes  LIST of the conversation
-- KEYS[2] request  STRING
-- KEYS[3] outbox  STREAM
-- ARGV[1] outcome  JSON
-- ARGV[2] outcome_id
-- ARGV[3] outcomes_max
-- ARGV[4] kept_ms
-- ARGV[5] answer_kept_ms
-- ARGV[6] tenant
-- ARGV[7] handoff_id  or empty
-- ARGV[8] conversation_id
-- ARGV[9] actor
-- ARGV[10] now_ms
-- ARGV[11] digest  of what was reported, so that a request's name is not taken for another report
-- RETURN recorded | repeated | reused | full
--   recorded, repeated: outcome_id; reused: the request was another report's, and nothing was recorded
-- AGAIN safe: the request is remembered with its answer
-- WHY A SCRIPT: a fact that is recorded and not told, or recorded twice, spoils every number built on it.
local answered = redis.call('GET', KEYS[2])
if answered then
  local outcome_id, digest = string.match(answered, '^(%S+) (%S+)$')
  if digest ~= ARGV[11] then return {'reused'} end
  return {'repeated', outcome_id}
end
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[3]) then return {'full'} end
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', '100000', '*', 'type', 'outcome.recorded', 'tenant', ARGV[6],
  'handoff_id', ARGV[7], 'conversation_id', ARGV[8], 'actor', ARGV[9], 'at_ms', ARGV[10])
redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. ARGV[11], 'PX', ARGV[5])
return {'recorded', ARGV[2]}
