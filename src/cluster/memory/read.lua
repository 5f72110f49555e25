-- What a group remembers.
--
-- KEYS: as where it is kept. ARGV: 1 what is read: 'newest' the newest push of each key, 'after' the log behind the number 2 of the
-- epoch 4, and 'last' the newest of the log; of both as many as 3 at the most, the newest first with 'last'. Where the number says
-- nothing, since it is of another epoch or was not given yet, the log is read from its beginning. No epoch is any.
--
-- The answer: the epoch, the number of the newest push, 1 where a key was lost for a bound, the time in milliseconds, and what is
-- kept; nothing where nothing is.
local known = redis.call('hmget', KEYS[1], 'epoch', 'offset', 'lacks')
if not known[1] then return {} end
local time = redis.call('time')
local found = {}
if ARGV[1] == 'newest' then
    for _, key in ipairs(redis.call('zrange', KEYS[4], 0, -1)) do
        found[#found + 1] = redis.call('hget', KEYS[3], key) or nil
    end
else
    local entries
    if ARGV[1] == 'after' then
        local is_other = ARGV[4] ~= '' and ARGV[4] ~= known[1] or tonumber(ARGV[2]) > tonumber(known[2])
        local from = is_other and '-' or string.format('%.0f-0', ARGV[2] + 1)
        entries = redis.call('xrange', KEYS[2], from, '+', 'count', ARGV[3])
    else
        entries = redis.call('xrevrange', KEYS[2], '+', '-', 'count', ARGV[3])
    end
    for index, entry in ipairs(entries) do found[index] = entry[2][2] end
end
return {
    known[1], tonumber(known[2]), tonumber(known[3] or '0'),
    time[1] * 1000 + math.floor(time[2] / 1000), found,
}
