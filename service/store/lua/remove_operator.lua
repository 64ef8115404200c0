-- Forget what was declared of an operator.
-- KEYS[1] operators  HASH name -> JSON
-- KEYS[2] present  ZSET name -> until when they are believed to be there
-- KEYS[3] outbox  STREAM
-- ARGV[1] tenant
-- ARGV[2] actor
-- ARGV[3] now_ms
-- ARGV[4] name
-- RETURN removed | unknown
-- USES told_operators
-- AGAIN safe: the second time there is nobody of that name
-- WHY A SCRIPT: what is done and what is told are one step.
if redis.call('HDEL', KEYS[1], ARGV[4]) == 0 then return {'unknown'} end
redis.call('ZREM', KEYS[2], ARGV[4])
told_operators(KEYS[3], ARGV[1], 'removed', ARGV[2], ARGV[3])
return {'removed'}
