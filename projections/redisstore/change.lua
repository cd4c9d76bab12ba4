-- A guarded change: conditions first, then commands. All keys share one slot,
-- and nothing is written before everything is checked, because Redis does not
-- take back what a failing script has done.
--
-- KEYS  the key of each condition, then the key of each command
-- ARGV  the number of conditions,
--       field and wanted value of each condition ('' wants the field absent),
--       name, number of arguments and arguments of each command
--
-- Returns 0 when done; else the number of the condition that failed and the
-- value found.
local key, arg = 1, 2
for condition = 1, tonumber(ARGV[1]) do
  local got = redis.call('HGET', KEYS[key], ARGV[arg]) or ''
  if got ~= ARGV[arg + 1] then
    return {condition, got}
  end
  key, arg = key + 1, arg + 2
end
while arg <= #ARGV do
  local last = arg + 1 + tonumber(ARGV[arg + 1])
  redis.call(ARGV[arg], KEYS[key], unpack(ARGV, arg + 2, last))
  key, arg = key + 1, last + 1
end
return 0
