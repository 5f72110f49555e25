-- Numbers a push to a group that remembers, keeps it, and publishes it with its number: one step, so that the order of the numbers
-- is the order in which all nodes hear the pushes.
--
-- KEYS: the group's numbers (hash), its log (stream), the newest push of each key (hash) and their order (sorted set), and who has
-- pushed what last (hash).
-- ARGV: 1 channel; 2 the message up to the place of the push, 3 the rest of it, which is what is kept; 4 the publisher, 5 the number
-- of the message among its own, 6 whether this is the copy of that message for a hashed channel; 7 the epoch of numbers that begin;
-- 8 what keeping it counts with, in bytes; 9 its key, or nothing; 10, 11 the messages and bytes of the log, 12 how long it is kept;
-- 13, 14 the keys and their bytes, 15 how long they are kept; 16 how long the numbers are. Times are milliseconds; bounds of 0 keep none.
--
-- The answer: how many heard it; behind that 0 where it was not kept, and otherwise its number and order, the epoch, and how many were lost for the
-- bounds of messages, bytes and keys; nothing behind it for a copy, and for one that was kept before.
local numbers, log, newest, order_of, publishers = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local channel, head, tail = ARGV[1], ARGV[2], ARGV[3]
local sequence = tonumber(ARGV[5])
local digits = function(number) return string.format('%.0f', number) end
local publish = function(epoch, offset, order)
    return redis.call('publish', channel, head .. epoch .. struct.pack('<I8I8', offset, order) .. tail)
end

-- A message that was written again after a connection broke has been numbered and heard already if the first time went well.
local last = redis.call('hget', publishers, ARGV[4])
local last_sequence, last_offset, last_order, last_epoch = 0, 0, 0, string.rep('\0', 8)
if last then
    last_sequence, last_offset, last_order = struct.unpack('<I8I8I8', last)
    last_epoch = string.sub(last, 25, 32)
end
if last_sequence > sequence or (last_sequence == sequence and ARGV[6] == '0') then
    return { redis.call('pubsub', 'numsub', channel)[2] }
end
if ARGV[6] == '1' then
    if last_sequence ~= sequence then last_offset, last_order, last_epoch = 0, 0, string.rep('\0', 8) end
    return { publish(last_epoch, last_offset, last_order) }
end

local time = redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('hmget', numbers, 'epoch', 'offset', 'order', 'log', 'newest')
local epoch = known[1] or ARGV[7]
local offset = (known[1] and tonumber(known[2]) or 0) + 1
-- It never goes back, not even when everything is forgotten in between.
local order = math.max(tonumber(known[3] or '0') + 1, time[1] * 1000000 + time[2])

-- Refused without memory: then it is published all the same. Once this is taken, so is what follows.
local taken = redis.pcall('hset', numbers, 'epoch', epoch, 'offset', digits(offset), 'order', digits(order))
if type(taken) == 'table' and taken.err then
    return { publish(string.rep('\0', 8), 0, 0), 0 }
end
if not known[1] then redis.call('unlink', log, newest, order_of) end
redis.call('pexpire', numbers, ARGV[16])
if redis.call('hlen', publishers) > 1024 then redis.call('unlink', publishers) end
redis.call('hset', publishers, ARGV[4], struct.pack('<I8I8I8', sequence, offset, order) .. epoch)
redis.call('pexpire', publishers, ARGV[16])

local weight = tonumber(ARGV[8])
local entry = struct.pack('<I8I8I8I4', order, offset, now, weight) .. tail
local weight_of = function(kept) return (struct.unpack('<I4', string.sub(kept, 25, 28))) end
local lost_messages, lost_bytes, lost_keys = 0, 0, 0

local most, most_bytes = tonumber(ARGV[10]), tonumber(ARGV[11])
if most > 0 then
    local count = redis.call('xlen', log)
    local bytes = count > 0 and tonumber(known[4] or '0') or 0
    while count > 0 and (count >= most or bytes + weight > most_bytes) do
        if count >= most then lost_messages = lost_messages + 1 else lost_bytes = lost_bytes + 1 end
        local oldest = redis.call('xrange', log, '-', '+', 'count', 1)[1]
        bytes = bytes - weight_of(oldest[2][2])
        redis.call('xdel', log, oldest[1])
        count = count - 1
    end
    -- Where nothing is older, it is the new one that is lost: the log goes on behind it.
    if bytes + weight <= most_bytes then
        redis.call('xadd', log, digits(offset) .. '-0', 'm', entry)
        bytes = bytes + weight
    else
        lost_bytes = lost_bytes + 1
    end
    redis.call('hset', numbers, 'log', digits(bytes))
    redis.call('pexpire', log, ARGV[12])
elseif redis.call('exists', log) == 1 then
    redis.call('unlink', log)
end

local most_keys, most_key_bytes = tonumber(ARGV[13]), tonumber(ARGV[14])
if most_keys > 0 and ARGV[9] ~= '' then
    local count = redis.call('zcard', order_of)
    local bytes = count > 0 and tonumber(known[5] or '0') or 0
    local forget = function(key)
        local kept = redis.call('hget', newest, key)
        if not kept then return false end
        bytes = bytes - weight_of(kept)
        count = count - 1
        redis.call('hdel', newest, key)
        return redis.call('zrem', order_of, key)
    end
    -- The older one goes in any case: it is not the newest any more.
    forget(ARGV[9])
    local lacks = false
    while count > 0 and (count >= most_keys or bytes + weight > most_key_bytes) do
        lost_keys = lost_keys + 1
        lacks = true
        if not forget(redis.call('zrange', order_of, 0, 0)[1]) then break end
    end
    if count < most_keys and bytes + weight <= most_key_bytes then
        redis.call('hset', newest, ARGV[9], entry)
        redis.call('zadd', order_of, digits(order), ARGV[9])
        bytes = bytes + weight
    else
        lost_keys = lost_keys + 1
        lacks = true
    end
    redis.call('hset', numbers, 'newest', digits(bytes))
    if lacks then redis.call('hset', numbers, 'lacks', '1') end
end
if most_keys > 0 then
    redis.call('pexpire', newest, ARGV[15])
    redis.call('pexpire', order_of, ARGV[15])
end
return { publish(epoch, offset, order), offset, order, epoch, lost_messages, lost_bytes, lost_keys }
