-- Numbers a push to a group that remembers, keeps it, and publishes it with its number: one step, so that the order of the numbers
-- is the order in which all nodes hear the pushes.
--
-- KEYS: the group's numbers, and who has pushed what last (hash), its log (stream), the newest push of each key (hash) and their order
-- (sorted set).
-- ARGV: 1 channel; 2 the message up to the place of the push, 3 the rest of it, which is what is kept; 4 the publisher, 5 the number
-- of the message among its own, 6 whether this is the copy of that message for a hashed channel; 7 the epoch of numbers that begin;
-- 8 what keeping it counts with, in bytes; 9 its key, or nothing; 10, 11 the messages and bytes of the log, 12 how long it stays;
-- 13, 14 the keys and their bytes, 15 how long they stay; 16 how long the numbers stay; 17 how soon all of that is said to Redis anew: what
-- stays, stays for longer than it has to by that. Times are milliseconds; bounds of 0 keep none.
--
-- Most of what this takes is calls of Redis, so there are as few as can be: all is read, then the numbers are written once.
--
-- The answer: how many heard it; behind that 0 where it was not kept, and otherwise its number and order, the epoch, and how many were lost for the
-- bounds of messages, bytes and keys; nothing behind it for a copy, and for one that was kept before.
local numbers, log, newest, order_of = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local channel, head, tail = ARGV[1], ARGV[2], ARGV[3]
-- Of a part of a Redis Cluster the names begin with braces, and of nothing else.
local is_shard = string.sub(channel, 1, 1) == '{'
local publisher, sequence = 'from:' .. ARGV[4], tonumber(ARGV[5])
local digits = function(number) return string.format('%.0f', number) end
local publish = function(epoch, offset, order)
    return redis.call(is_shard and 'spublish' or 'publish', channel, head .. epoch .. struct.pack('<I8I8', offset, order) .. tail)
end
local known =
    redis.call('hmget', numbers, 'epoch', 'offset', 'order', 'log', 'newest', 'renew', publisher)
local is_new, last = not known[1], known[7]

-- A message that was written again after a connection broke has been numbered and heard already if the first time went well.
local last_sequence, last_offset, last_order, last_epoch = 0, 0, 0, string.rep('\0', 8)
if last then
    last_sequence, last_offset, last_order = struct.unpack('<I8I8I8', last)
    last_epoch = string.sub(last, 25, 32)
end
if last_sequence > sequence or (last_sequence == sequence and ARGV[6] == '0') then
    return { redis.call('pubsub', is_shard and 'shardnumsub' or 'numsub', channel)[2] }
end
if ARGV[6] == '1' then
    if last_sequence ~= sequence then last_offset, last_order, last_epoch = 0, 0, string.rep('\0', 8) end
    return { publish(last_epoch, last_offset, last_order) }
end

local time = redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = known[1] or ARGV[7]
local offset = (known[1] and tonumber(known[2]) or 0) + 1
-- It never goes back, not even when everything is forgotten in between.
local order = math.max(tonumber(known[3] or '0') + 1, time[1] * 1000000 + time[2])
local renew = tonumber(known[6] or '0')
local renews = now >= renew or now + ARGV[17] < renew
if renews then renew = now + ARGV[17] end

local weight = tonumber(ARGV[8])
local entry = struct.pack('<I8I8I8I4', order, offset, now, weight) .. tail
local weight_of = function(kept) return (struct.unpack('<I4', string.sub(kept, 25, 28))) end
local lost_messages, lost_bytes, lost_keys = 0, 0, 0

-- The log: what goes for the new one, and whether that has its place.
local most, most_bytes = tonumber(ARGV[10]), tonumber(ARGV[11])
local log_count, log_bytes, goes, is_logged = 0, 0, {}, false
if most > 0 then
    log_count = is_new and 0 or redis.call('xlen', log)
    log_bytes = log_count > 0 and tonumber(known[4] or '0') or 0
    local count, from = log_count, '-'
    while count > 0 and (count >= most or log_bytes + weight > most_bytes) do
        if count >= most then lost_messages = lost_messages + 1 else lost_bytes = lost_bytes + 1 end
        local oldest = redis.call('xrange', log, from, '+', 'count', 1)[1]
        log_bytes = log_bytes - weight_of(oldest[2][2])
        goes[#goes + 1] = oldest[1]
        from = '(' .. oldest[1]
        count = count - 1
    end
    -- Where nothing is older, it is the new one that is lost: the log goes on behind it.
    is_logged = log_bytes + weight <= most_bytes
    if is_logged then log_bytes = log_bytes + weight else lost_bytes = lost_bytes + 1 end
end

-- The keys: the same.
local most_keys, most_key_bytes = tonumber(ARGV[13]), tonumber(ARGV[14])
local key_count, key_bytes, forgotten, is_newest, lacks = 0, tonumber(known[5] or '0'), {}, false, false
local has_key = most_keys > 0 and ARGV[9] ~= ''
if has_key then
    key_count = is_new and 0 or redis.call('zcard', order_of)
    local count = key_count
    if count == 0 then key_bytes = 0 end
    -- The older one goes in any case: it is not the newest any more.
    local older = count > 0 and redis.call('hget', newest, ARGV[9])
    if older then
        key_bytes = key_bytes - weight_of(older)
        count = count - 1
    end
    local at = 0
    while count > 0 and (count >= most_keys or key_bytes + weight > most_key_bytes) do
        local oldest = redis.call('zrange', order_of, at, at)[1]
        at = at + 1
        if not oldest then break end
        if oldest ~= ARGV[9] then
            lost_keys = lost_keys + 1
            lacks = true
            local kept = redis.call('hget', newest, oldest)
            if not kept then break end
            key_bytes = key_bytes - weight_of(kept)
            forgotten[#forgotten + 1] = oldest
            count = count - 1
        end
    end
    is_newest = count < most_keys and key_bytes + weight <= most_key_bytes
    if is_newest then
        key_bytes = key_bytes + weight
    else
        lost_keys = lost_keys + 1
        lacks = true
        if older then forgotten[#forgotten + 1] = ARGV[9] end
    end
end

-- Refused without memory: then it is published all the same. Once this is taken, so is what follows.
local taken = redis.pcall(
    'hset', numbers, 'epoch', epoch, 'offset', digits(offset), 'order', digits(order), 'log', digits(log_bytes),
    'newest', digits(key_bytes), 'renew', digits(renew),
    publisher, struct.pack('<I8I8I8', sequence, offset, order) .. epoch
)
if type(taken) == 'table' and taken.err then
    return { publish(string.rep('\0', 8), 0, 0), 0 }
end
if is_new then redis.call('unlink', log, newest, order_of) end
if not last and redis.call('hlen', numbers) > 1024 then
    for _, field in ipairs(redis.call('hkeys', numbers)) do
        if string.sub(field, 1, 5) == 'from:' and field ~= publisher then redis.call('hdel', numbers, field) end
    end
end
if is_new or renews then redis.call('pexpire', numbers, ARGV[16]) end

if most > 0 then
    for _, id in ipairs(goes) do redis.call('xdel', log, id) end
    if is_logged then redis.call('xadd', log, digits(offset) .. '-0', 'm', entry) end
    if log_count == 0 or renews then redis.call('pexpire', log, ARGV[12]) end
elseif renews then
    redis.call('unlink', log)
end

if has_key then
    for _, key in ipairs(forgotten) do
        redis.call('hdel', newest, key)
        redis.call('zrem', order_of, key)
    end
    if is_newest then
        redis.call('hset', newest, ARGV[9], entry)
        redis.call('zadd', order_of, digits(order), ARGV[9])
    end
    if lacks then redis.call('hset', numbers, 'lacks', '1') end
end
if most_keys > 0 and (renews or (has_key and key_count == 0)) then
    redis.call('pexpire', newest, ARGV[15])
    redis.call('pexpire', order_of, ARGV[15])
end
return { publish(epoch, offset, order), offset, order, epoch, lost_messages, lost_bytes, lost_keys }
