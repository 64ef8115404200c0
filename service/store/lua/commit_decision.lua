-- Everything that one decided turn changes: answer, history, transcript, and the handoff it opens or joins.
-- KEYS[1] conversation  HASH
-- KEYS[2] turns  ZSET of records
-- KEYS[3] transcript  ZSET of texts
-- KEYS[4] decision  STRING
-- KEYS[5] handoff  HASH of the open handoff, or of the one to open; not there when there is neither
-- KEYS[6] waiting  ZSET of the queue it is in from now on
-- KEYS[7] waiting_before  ZSET of the queue it was in
-- KEYS[8] open  ZSET of the queue it is in from now on
-- KEYS[9] open_before  ZSET of the queue it was in
-- KEYS[10] deadlines  ZSET
-- KEYS[11] queues  SET
-- KEYS[12] outbox  STREAM
-- KEYS[13] in_class  ZSET in which it waits from now on
-- KEYS[14] in_class_before  ZSET in which it waited
-- KEYS[15] classes  ZSET
-- KEYS[16] group_before  HASH of the flood that it was part of
-- KEYS[17] calls  ZSET
-- KEYS[18] packet  STRING built ahead of the handoff's claim
-- KEYS[19..] guards  by threes, one a limit that it counts towards: the group's HASH, its members' ZSET, the counted ZSET
-- ARGV[1] version  of the conversation that was thought with, 0 for a new one
-- ARGV[2] handoff_version  of the open handoff that was thought with, empty for none
-- ARGV[3] order  place of the turn among the others, empty for the order of arrival
-- ARGV[4] record  JSON: what later turns count
-- ARGV[5] said  JSON: what an operator reads
-- ARGV[6] answer  JSON: the Decision without its position
-- ARGV[7] now_ms
-- ARGV[8] turns_max
-- ARGV[9] transcript_max
-- ARGV[10] kept_ms  how long an answer and a quiet conversation are kept
-- ARGV[11] event  handoff.opened, handoff.joined, or empty
-- ARGV[12] handoff_id  empty when the answer refers to none
-- ARGV[13] queue  name of the queue it is in from now on
-- ARGV[14] ahead  how many more urgent ones wait in other partitions, empty for unknown
-- ARGV[15] actor
-- ARGV[16] told  `told` for an answer given while the store was away, else empty
-- ARGV[17] message  turn_id of a turn that a person who has the conversation must see, else empty
-- ARGV[18] replies_told  number of the last reply that the answer carries, empty for none
-- ARGV[19] limits  JSON: one a guard of [most, over_ms, counted elsewhere, the fields of a member, of one that leads];
--   empty for none
-- ARGV[20] answer_grouped  JSON: the Decision of one that becomes a member
-- ARGV[21..] fields  of the handoff: name, value, name, value
-- RETURN decided | moved | stored
--   decided: the stored answer; moved: think again; stored: position, empty when nothing waits, it is unknown, or the
--   answer was told without one, and `member` where a flood's group holds it
-- USES class, flood, stand_down, tell
-- AGAIN safe: the second time it finds its own answer
-- WHY A SCRIPT: the answer, the history it rests on and the handoff it promises must never be seen one without another.
local stored = redis.call('GET', KEYS[4])
-- An answer that was written, but lost on its way while the store went away, gives way to the one that was told.
local untold = stored and ARGV[16] == 'told' and not string.find(stored, '"degraded":true', 1, true)
if stored and not untold then return {'decided', stored} end
local seen = redis.call('HMGET', KEYS[1], 'version', 'last_order', 'open_handoff')
if (seen[1] or '0') ~= ARGV[1] then return {'moved'} end
local event, handoff_id = ARGV[11], ARGV[12]
if ARGV[2] ~= '' and redis.call('HGET', KEYS[5], 'version') ~= ARGV[2] then return {'moved'} end

local grouped, in_class = '', KEYS[13]
if event ~= '' then
  local class_before = redis.call('HGET', KEYS[5], 'class')
  local led = leads(KEYS[5])
  redis.call('HSET', KEYS[5], unpack(ARGV, 21))
  if leads(KEYS[5]) ~= led then stand_down(KEYS[16], KEYS[10], led, ARGV[7]) end
  if redis.call('HEXISTS', KEYS[5], 'call') == 1 then redis.call('ZADD', KEYS[17], 'NX', ARGV[7], handoff_id) end
  if ARGV[19] ~= '' then
    local limits = cjson.decode(ARGV[19])
    for i = 19, #KEYS, 3 do
      local limit = limits[(i - 16) / 3]
      local over = count(KEYS[i + 2], limit, handoff_id, ARGV[7])
      if over and grouped == '' then
        grouped = join_group(KEYS[i], KEYS[5], limit, handoff_id, ARGV[7])
        if grouped == 'member' then in_class = KEYS[i + 1] end
      end
    end
  end
  redis.call('HINCRBY', KEYS[5], 'version', 1)
  local of = redis.call('HMGET', KEYS[5], 'state', 'score_ms', 'timer_at_ms', 'timer_held_at_ms', 'class')
  redis.call('ZREM', KEYS[9], handoff_id)
  redis.call('ZADD', KEYS[8], of[2], handoff_id)
  redis.call('SADD', KEYS[11], ARGV[13])
  if of[1] == 'waiting' then
    if class_before then leave(KEYS[15], KEYS[14], class_before, handoff_id) end
    redis.call('ZREM', KEYS[7], handoff_id)
    redis.call('ZADD', KEYS[6], of[2], handoff_id)
    enter(KEYS[15], in_class, of[5], handoff_id, of[2])
    redis.call('ZADD', KEYS[10], of[3], handoff_id)
  elseif of[4] ~= '' then
    redis.call('ZADD', KEYS[10], of[4], handoff_id)
  end
  tell(KEYS[12], KEYS[5], event, ARGV[15], ARGV[7])
  if grouped == 'member' then tell(KEYS[12], KEYS[5], 'handoff.grouped', ARGV[15], ARGV[7]) end
  if grouped == 'leads' then tell(KEYS[12], KEYS[5], 'handoff.leads', ARGV[15], ARGV[7]) end
end
if event == '' and ARGV[17] ~= '' then tell(KEYS[12], KEYS[5], 'handoff.message', ARGV[15], ARGV[7], ARGV[17]) end
if ARGV[18] ~= '' then redis.call('HSET', KEYS[5], 'replies_told', ARGV[18]) end
-- What a person's stretch ended with has been told with this answer.
if ARGV[16] == '' then redis.call('HDEL', KEYS[1], 'ended_handoff') end
local position = ''
if handoff_id ~= '' and ARGV[14] ~= '' and ARGV[16] == '' and grouped ~= 'member' then
  local rank = redis.call('ZRANK', KEYS[6], handoff_id)
  if rank then position = string.format('%d', rank + 1 + tonumber(ARGV[14])) end
end

-- What was built ahead does not know of this turn.
redis.call('DEL', KEYS[18])
local last = tonumber(seen[2]) or -1
local order = tonumber(ARGV[3]) or (last + 1)
if not stored then
  redis.call('ZADD', KEYS[2], order, ARGV[4])
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[8]))
  redis.call('PEXPIRE', KEYS[2], ARGV[10])
  redis.call('ZADD', KEYS[3], order, ARGV[5])
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[9]))
  redis.call('PEXPIRE', KEYS[3], ARGV[10])
  redis.call('HINCRBY', KEYS[1], 'turns_count', 1)
end
redis.call('HSET', KEYS[1], 'version', string.format('%d', tonumber(ARGV[1]) + 1),
  'last_order', string.format('%d', math.max(last, order)))
if ARGV[1] == '0' then redis.call('HSET', KEYS[1], 'started_at_ms', ARGV[7]) end
if event == 'handoff.opened' then redis.call('HSET', KEYS[1], 'open_handoff', handoff_id) end
-- While a person has the conversation the fence must stand, however long the customer is silent.
if event == 'handoff.opened' or (seen[3] and seen[3] ~= '') then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[10])
end
local answer = grouped == 'member' and ARGV[16] == '' and ARGV[20] or ARGV[6]
redis.call('SET', KEYS[4], position .. '\n' .. answer, 'PX', ARGV[10])
return {'stored', position, grouped}
