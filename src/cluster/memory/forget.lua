-- A group forgets the newest push of the key ARGV[1], or without one everything: then its numbers begin anew. Who has pushed what last
-- is known still.
--
-- KEYS: as where it is kept. The answer: how many messages are gone.
if ARGV[1] == '' then
    local count = redis.call('xlen', KEYS[2]) + redis.call('hlen', KEYS[3])
    redis.call('hdel', KEYS[1], 'epoch', 'offset', 'order', 'log', 'newest', 'lacks', 'renew')
    redis.call('unlink', KEYS[2], KEYS[3], KEYS[4])
    return count
end
local kept = redis.call('hget', KEYS[3], ARGV[1])
if not kept then return 0 end
redis.call('hdel', KEYS[3], ARGV[1])
redis.call('zrem', KEYS[4], ARGV[1])
redis.call('hincrby', KEYS[1], 'newest', -struct.unpack('<I4', string.sub(kept, 25, 28)))
return 1
