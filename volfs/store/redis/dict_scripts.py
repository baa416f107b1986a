"""What is done to the entries of a Dict, one script for each call.

``{ID}:values`` is a hash of the values by their keys. ``{ID}:expiries`` is a sorted set of the same
keys. A score is twice the millisecond in which the entry expires, plus one if the entry has a ttl,
which reading does not put off.
"""

from __future__ import annotations

from volfs.store.redis.scripts import make_script, presence_key

SWEPT = 8
"""How many expired entries a put removes."""

_ENTRIES = """
local values, expiries = KEYS[2], KEYS[3]
-- A value of another type ends the script here, before it has changed anything.
redis.call('HLEN', values)
redis.call('ZCARD', expiries)
local function erase(key)
  redis.call('ZREM', expiries, key)
  redis.call('HDEL', values, key)
end
local function look(key)
  local score = tonumber(redis.call('ZSCORE', expiries, key))
  if score and math.floor(score / 2) > now then return score end
  if score then erase(key) end
  return nil
end
local function write(key, value, term, flag)
  redis.call('HSET', values, key, value)
  redis.call('ZADD', expiries, whole((now + term) * 2 + flag), key)
end
"""

FIND = make_script(
    _ENTRIES,
    """
local key, idle, term = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local score = look(key)
if not score then return {} end
if score % 2 == 0 and math.floor(score / 2) - now < idle then
  redis.call('ZADD', expiries, whole((now + term) * 2), key)
end
return {redis.call('HGET', values, key)}
""",
    changes=False,
)

CONTAINS = make_script(_ENTRIES, "return {look(ARGV[2]) and 1 or 0}", changes=False)

PUT = make_script(
    _ENTRIES,
    """
local key, value, term, flag = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if ARGV[6] == '1' and look(key) then return {0} end
write(key, value, term, flag)
local old = redis.call(
  'ZRANGE', expiries, '-inf', whole(now * 2 + 1), 'BYSCORE', 'LIMIT', 0, ARGV[7])
for _, each in ipairs(old) do erase(each) end
return {1}
""",
    adds=True,
)

SWAP = make_script(
    _ENTRIES,
    """
local key, expected, value, term = ARGV[2], ARGV[4], ARGV[5], tonumber(ARGV[6])
local present = look(key) and redis.call('HGET', values, key)
if ARGV[3] == '1' then
  if present ~= expected then return {0} end
elseif present then
  return {0}
end
write(key, value, term, 0)
return {1}
""",
    adds=True,
)

POP = make_script(
    _ENTRIES,
    """
local key = ARGV[2]
if not look(key) then return {} end
local value = redis.call('HGET', values, key)
erase(key)
return {value}
""",
)

UPDATE = make_script(
    _ENTRIES,
    """
for i = 3, #ARGV, 2 do write(ARGV[i], ARGV[i + 1], tonumber(ARGV[2]), 0) end
return {1}
""",
    adds=True,
)

COUNT = make_script(
    _ENTRIES,
    "return {redis.call('ZCOUNT', expiries, '(' .. whole(now * 2 + 1), '+inf')}",
    changes=False,
)

CLEAR = make_script(_ENTRIES, "redis.call('UNLINK', values, expiries)\nreturn {1}")

# A key that is there from the first to the last step of an iteration is found, perhaps twice.
SCAN = make_script(
    _ENTRIES,
    """
local answer = redis.call('ZSCAN', expiries, ARGV[2], 'COUNT', ARGV[3])
local found, rows = {answer[1]}, answer[2]
for i = 1, #rows, 2 do
  if math.floor(tonumber(rows[i + 1]) / 2) > now then found[#found + 1] = rows[i] end
end
return found
""",
    changes=False,
)

# The values of the first keys, at least of one, until they are large enough for one answer.
READ = make_script(
    _ENTRIES,
    """
local found, size, most = {}, 0, tonumber(ARGV[2])
for i = 3, #ARGV do
  local value = look(ARGV[i]) and redis.call('HGET', values, ARGV[i])
  found[#found + 1] = value
  size = size + (value and #value or 0)
  if size > most then break end
end
return found
""",
    changes=False,
)


def dict_keys(dict_id: str) -> tuple[str, str, str]:
    """The keys of the scripts above, and all that a Dict has."""
    return presence_key(dict_id), f"{{{dict_id}}}:values", f"{{{dict_id}}}:expiries"
