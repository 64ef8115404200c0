-- Keep what an operator said to the customer, and extend the lease. Who says that it takes a while holds it still.
-- KEYS[1] handoff  HASH
-- KEYS[2] leases  ZSET
-- KEYS[3] request  STRING
-- KEYS[4] outbox  STREAM
-- KEYS[5] beats  HASH
-- ARGV[1] token
-- ARGV[2] now_ms
-- ARGV[3] lease_expires_at_ms
-- ARGV[4] reply  JSON
-- ARGV[5] replies_max
-- ARGV[6] answer_kept_ms
-- ARGV[7] refused  `unfit` when nobody passes on what is said there; else empty
-- ARGV[8] digest  of the text, so that a request's name is not taken for another text
-- RETURN done | reused | unknown | illegal | lost | full | unfit
--   done: the handoff's fields; reused: the request was another text's; illegal: state; lost: holder, when the lease
--   ended; unfit: only who holds it is told
-- USES clock, outage, token, keep, tell
-- AGAIN safe: the request is remembered
-- WHY A SCRIPT: two replies at once must get two places, and a reply sent twice one.
local answered = redis.call('GET', KEYS[3])
if answered and answered ~= ARGV[8] then return {'reused'} end
if answered then return {'done', redis.call('HGETALL', KEYS[1])} end
local refused = refusal(KEYS[1], ARGV[1], ARGV[2], KEYS[5])
if refused then return refused end
if ARGV[7] == 'unfit' then return {'unfit'} end
local of = redis.call('HMGET', KEYS[1], 'replies', 'replies_count', 'holder', 'state')
if (tonumber(of[2]) or 0) >= tonumber(ARGV[5]) then return {'full'} end
local replies = '[' .. ARGV[4] .. ']'
if of[1] and of[1] ~= '' then replies = string.sub(of[1], 1, -2) .. ',' .. ARGV[4] .. ']' end
redis.call('HSET', KEYS[1], 'replies', replies)
local number = redis.call('HINCRBY', KEYS[1], 'replies_count', 1)
redis.call('HINCRBY', KEYS[1], 'version', 1)
if of[4] ~= 'held' then keep(KEYS[1], KEYS[2], 'leased', ARGV[2], ARGV[3], '') end
tell(KEYS[4], KEYS[1], 'handoff.replied', of[3], ARGV[2], number)
redis.call('SET', KEYS[3], ARGV[8], 'PX', ARGV[6])
return {'done', redis.call('HGETALL', KEYS[1])}
