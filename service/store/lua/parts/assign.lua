-- Add why an operator got a handoff to the list of it, with what the handoff was like at that moment; the oldest goes.
local function assign(list, assignment, assignments_max, priority, expires_at_ms, wanted, kept_as, sent_by)
  local one = string.sub(assignment, 1, -2) .. ',"priority":"' .. priority .. '","expires_at_ms":' .. expires_at_ms
    .. ',"wanted":' .. cjson.encode(wanted) .. ',"kept_as":"' .. kept_as .. '","sent_by":'
    .. cjson.encode(kept_as == 'sent' and sent_by or '') .. '}'
  if not list or list == '' then return '[' .. one .. ']' end
  -- No name holds a brace, so this is only ever found between two of them.
  local _, others = string.gsub(list, '},{', '')
  if others + 2 > tonumber(assignments_max) then list = '[' .. string.sub(list, string.find(list, '},{', 1, true) + 2) end
  return string.sub(list, 1, -2) .. ',' .. one .. ']'
end
