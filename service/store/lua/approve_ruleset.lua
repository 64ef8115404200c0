-- Put a second person's approval of a version on record.
-- KEYS[1] heads  HASH
-- KEYS[2] marks  HASH
-- KEYS[3] steps  LIST
-- KEYS[4] outbox  STREAM
-- ARGV[1] version
-- ARGV[2] key_id  of the approver
-- ARGV[3] tenant
-- ARGV[4] actor
-- ARGV[5] now_ms
-- RETURN approved | repeated | unknown
-- USES told_ruleset
-- AGAIN safe: a person approves once
-- WHY A SCRIPT: an approval that is kept and not told would let a version pass unseen.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return {'unknown'} end
local field = 'approved:' .. ARGV[1]
local rows = redis.call('HGET', KEYS[2], field) or ''
if string.find('\n' .. rows, '\n' .. ARGV[2] .. '\t', 1, true) then return {'repeated'} end
redis.call('HSET', KEYS[2], field, rows .. ARGV[2] .. '\t' .. ARGV[4] .. '\t' .. ARGV[5] .. '\n')
told_ruleset(KEYS[3], KEYS[4], ARGV[3], 'approved', ARGV[1], '', ARGV[4], ARGV[5])
return {'approved'}
