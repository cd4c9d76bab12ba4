-- Guarded changes, one after the other: of each its conditions first, then its
-- writes. Nothing of a change is written before all of it is checked, because
-- Redis does not take back what a failing script has done.
--
-- KEYS  of each change: the key of each condition, record and command
-- ARGV  of each change: the numbers of its conditions, records and commands,
--       field and wanted value of each condition ('' wants the field absent),
--       of each record what its core begins with ('' wants no record),
--         the number of its fields and values, and these,
--       name, number of arguments and arguments of each command
--
-- Returns the changes that were not made, three values each: which, the number
-- of the condition or record that failed, and the value found. Numbers begin
-- at 1.
local call, sub, keys, args = redis.call, string.sub, KEYS, ARGV
local size, key, arg, change, refused = #args, 0, 1, 0, {}

local function refuse(condition, got)
  local n = #refused
  refused[n + 1], refused[n + 2], refused[n + 3] = change, condition, got or ''
end

while arg <= size do
  local conditions, records, commands = tonumber(args[arg]), tonumber(args[arg + 1]), tonumber(args[arg + 2])
  local holds = true
  change, arg = change + 1, arg + 3

  for i = 1, conditions do
    if holds then
      local got = call('HGET', keys[key + i], args[arg])
      if (got or '') ~= args[arg + 1] then
        holds = false
        refuse(i, got)
      end
    end
    arg = arg + 2
  end
  key = key + conditions

  local firstRecord = arg
  for i = 1, records do
    if holds then
      local want, got = args[arg], call('HGET', keys[key + i], 'c')
      if want == '' and got or want ~= '' and (not got or sub(got, 1, #want) ~= want) then
        holds = false
        refuse(conditions + i, got)
      end
    end
    arg = arg + 2 + tonumber(args[arg + 1])
  end
  if holds then
    local at = firstRecord
    for i = 1, records do
      local last = at + 1 + tonumber(args[at + 1])
      if last > at + 1 then
        call('HSET', keys[key + i], unpack(args, at + 2, last))
      end
      at = last + 1
    end
  end
  key = key + records

  for i = 1, commands do
    local last = arg + 1 + tonumber(args[arg + 1])
    if holds then
      call(args[arg], keys[key + i], unpack(args, arg + 2, last))
    end
    arg = last + 1
  end
  key = key + commands
end
return refused
