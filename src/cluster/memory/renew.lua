-- A group has members: what it remembers stays for ARGV[1] milliseconds more, what has a time of its own, its keys, for ARGV[2].
--
-- KEYS: as where it is kept.
redis.call('pexpire', KEYS[1], ARGV[1])
redis.call('pexpire', KEYS[3], ARGV[2])
redis.call('pexpire', KEYS[4], ARGV[2])
return 1
