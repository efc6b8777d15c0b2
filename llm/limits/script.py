"""What Redis does for a call in one step: try all counters, and take all of them or none.

The counting itself is the `limits` library's own Lua: a call would be a round trip for each counter
and figure, and none of them could be undone. Its scripts are therefore made functions of one script
here; `tests/test_llm_limits_counters.py` holds that the library reads the same counters.
"""

from limits.aio.storage.redis.bridge import RedisBridge


def _function(name: str, source: str | bytes) -> str:
    text = source.decode() if isinstance(source, bytes) else source
    return f"local function {name}(KEYS, ARGV)\n{text}\nend\n"


_PREAMBLE = (
    _function("take_in_window", RedisBridge.SCRIPT_ACQUIRE_MOVING_WINDOW)
    + _function("window", RedisBridge.SCRIPT_MOVING_WINDOW)
    + _function("take_in_counter", RedisBridge.SCRIPT_ACQUIRE_SLIDING_WINDOW)
    + _function("counter", RedisBridge.SCRIPT_SLIDING_WINDOW)
    + """
local clock = redis.call('TIME')  -- Redis's own: those of the processes may differ
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000

local function previous(key) return key .. '/-1' end
local function ttl(key) return math.max(0, redis.call('pttl', key)) / 1000 end
"""
)

# KEYS: one for each counter. ARGV: [[kind, limit, seconds, amount], ...] as MessagePack; a lease.
# Returns [[taken, a, b, c, d], ...], which `windows.py` understands.
TAKE = (
    _PREAMBLE
    + """
local lease = ARGV[2]
local kinds = {}

kinds.window = {
  take = function(key, limit, seconds, amount)
    return take_in_window({key}, {now, limit, seconds, amount})
  end,
  give_back = function(key, amount) redis.call('ltrim', key, amount, -1) end,
  look = function(key, limit, seconds)
    local seen = window({key}, {now - seconds, limit})
    if not seen then return 0, 0, 0, 0 end
    local last = redis.call('lindex', key, limit - 1)  -- it has to leave before one more fits
    local wait = last and tonumber(last) + seconds - now or 0
    return seen[2], tonumber(seen[1]) + seconds - now, math.max(0, wait), 0
  end,
}

kinds.counter = {
  take = function(key, limit, seconds, amount)
    return take_in_counter({previous(key), key}, {limit, seconds, amount})
  end,
  give_back = function(key, amount) redis.call('decrby', key, amount) end,
  look = function(key, limit, seconds)
    local seen = counter({previous(key), key}, {seconds})
    local left = ttl(key)
    return tonumber(seen[1] or 0), ttl(previous(key)), tonumber(seen[3] or 0), left, now + left
  end,
}

kinds.lease = {
  take = function(key, limit, seconds)
    redis.call('zremrangebyscore', key, '-inf', now)
    if redis.call('zcard', key) >= limit then return false end
    redis.call('zadd', key, now + seconds, lease)
    redis.call('expire', key, seconds)
    return true
  end,
  give_back = function(key) redis.call('zrem', key, lease) end,
  look = function(key) return redis.call('zcard', key), 0, 0, 0 end,
}

local wanted = cmsgpack.unpack(ARGV[1])
local taken = {}
local is_refused = false
for i, want in ipairs(wanted) do
  taken[i] = kinds[want[1]].take(KEYS[i], want[2], want[3], want[4]) and true or false
  is_refused = is_refused or not taken[i]
end
local answer = {}
for i, want in ipairs(wanted) do
  local kind = kinds[want[1]]
  if is_refused and taken[i] then kind.give_back(KEYS[i], want[4]) end
  local a, b, c, d, e = kind.look(KEYS[i], want[2], want[3])
  answer[i] = {taken[i], a, b, c, d, e or 0}
end
return cmsgpack.pack(answer)
"""
)

# KEYS: counters of tokens, then sorted sets of leases. ARGV: [[seconds, tokens, end], ...] as
# MessagePack, for the counters; a lease. More tokens than estimated count from now on, whatever the
# limit; fewer are taken out of the window that they were put into, which `end` tells by when it is
# over. If that window is gone, nobody is owed anything.
RELEASE = (
    _PREAMBLE
    + """
local UNLIMITED = 2 ^ 53
local corrections = cmsgpack.unpack(ARGV[1])
for i, correction in ipairs(corrections) do
  local seconds, tokens, ends_at = correction[1], correction[2], correction[3]
  if tokens > 0 then
    take_in_counter({previous(KEYS[i]), KEYS[i]}, {UNLIMITED, seconds, tokens})
  else
    for _, key in ipairs({KEYS[i], previous(KEYS[i])}) do
      local left = ttl(key)
      if left > 0 and math.abs(now + left - ends_at) < 0.4 then
        local back = math.min(-tokens, tonumber(redis.call('get', key)))
        if back > 0 then redis.call('decrby', key, back) end
      end
    end
  end
end
for i = #corrections + 1, #KEYS do redis.call('zrem', KEYS[i], ARGV[2]) end
return 1
"""
)

# KEYS: sorted sets. ARGV: the time of a lease in seconds, then the lease in each set.
RENEW = """
local clock = redis.call('TIME')
local ends_at = tonumber(clock[1]) + tonumber(clock[2]) / 1000000 + ARGV[1]
for i, key in ipairs(KEYS) do
  redis.call('zadd', key, ends_at, ARGV[i + 1])
  redis.call('expire', key, ARGV[1])
end
return 1
"""
