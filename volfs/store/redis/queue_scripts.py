"""What is done to the partitions of a Queue, one script for each call.

``{ID}:partitions`` is a sorted set of the partitions by the millisecond in which they expire. Of
each partition there are ``{ID}:items:NAME``, a list; ``{ID}:state:NAME``, a hash with the number
after the last item (``tail``) and the bytes of all items (``size``); and what others wait for:

- ``{ID}:bell:NAME``, a list with a token for each of the first items. Whoever waits for an item
  takes a token, and then the item. A token for which there is no item does no harm.
- ``{ID}:changes:NAME``, a stream that is added to if ``{ID}:watch:NAME`` says that somebody waits
  for room, or for an item to look at.

The server forgets a partition by itself a minute after it has expired.
"""

from __future__ import annotations

from typing import NamedTuple

from volfs.store.redis.scripts import make_script, presence_key

TOKENS_MAX = 128
WATCH_MS = 3000
"""How long a waiter counts that does not come back."""

_LIMITS = f"local watch_ms, tokens_max = {WATCH_MS}, {TOKENS_MAX}\n"
_PARTITIONS = (
    _LIMITS
    + """
local partitions, items, state, bell, changes, watch =
  KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local name = ARGV[2]
local tag = string.match(KEYS[1], '^{.-}')
-- A value of another type ends the script here, before it has changed anything.
redis.call('ZCARD', partitions)
redis.call('LLEN', items)
redis.call('HLEN', state)
redis.call('LLEN', bell)
local function is_live()
  local expires = tonumber(redis.call('ZSCORE', partitions, name))
  return expires and expires > now
end
local function erase(each)
  redis.call('UNLINK', tag .. ':items:' .. each, tag .. ':state:' .. each, tag .. ':bell:' .. each)
  redis.call('ZREM', partitions, each)
end
local function sweep(limit)
  local old = redis.call('ZRANGE', partitions, '-inf', whole(now), 'BYSCORE', 'LIMIT', 0, limit)
  for _, each in ipairs(old) do erase(each) end
end
local function tell(stream, watched)
  if redis.call('DEL', watched) == 1 then
    redis.pcall('XADD', stream, 'MAXLEN', 1, '*', 'changed', '')
    redis.call('PEXPIRE', stream, watch_ms)
  end
end
local function find_last()
  if redis.call('EXISTS', changes) == 0 then return '0-0' end
  local last = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)
  return last[1] and last[1][1] or '0-0'
end
local function await()
  redis.call('SET', watch, '', 'PX', watch_ms)
  return find_last()
end
local function ring(most)
  local length = redis.call('LLEN', items)
  local tokens = redis.call('LLEN', bell)
  if length == 0 then redis.call('DEL', bell) return end
  if tokens > length then redis.call('LTRIM', bell, 0, length - 1) return end
  local new = math.min(most, math.min(length, tokens_max) - tokens)
  for _ = 1, new do redis.call('RPUSH', bell, '') end
end
"""
)

PUT = make_script(
    _PARTITIONS,
    """
local ttl, most, room, crowd = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local first, count, bytes = 8, #ARGV - 7, 0
for i = first, #ARGV do bytes = bytes + #ARGV[i] end
if not is_live() then
  if redis.call('ZSCORE', partitions, name) then erase(name) end
  sweep(2)
  if redis.call('ZCARD', partitions) >= tonumber(crowd) then sweep(-1) end
  local others = redis.call('ZCARD', partitions)
  if others >= tonumber(crowd) then return {2, others} end
end
local size = tonumber(redis.call('HGET', state, 'size')) or 0
if redis.call('LLEN', items) + count > most or size + bytes > room then
  return {0, ARGV[7] == '1' and await() or ''}
end
for i = first, #ARGV, 1000 do
  redis.call('RPUSH', items, unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
redis.call('HINCRBY', state, 'tail', whole(count))
redis.call('HINCRBY', state, 'size', whole(bytes))
redis.call('ZADD', partitions, whole(now + ttl), name)
ring(count)
local kept = whole(ttl + 60000)
for _, key in ipairs({items, state, bell}) do redis.call('PEXPIRE', key, kept) end
if redis.call('PEXPIRE', partitions, kept, 'NX') == 0 then
  redis.call('PEXPIRE', partitions, kept, 'GT')
end
tell(changes, watch)
return {1}
""",
    adds=True,
)

TAKE = make_script(
    _PARTITIONS,
    """
if not is_live() then return {} end
local taken = redis.call('LPOP', items, ARGV[3]) or {}
local bytes = 0
for _, item in ipairs(taken) do bytes = bytes + #item end
if #taken > 0 then
  if bytes > 0 then redis.call('HINCRBY', state, 'size', whole(-bytes)) end
  tell(changes, watch)
end
-- Whoever took a token may have left items for others.
ring(redis.call('EXISTS', bell) == 0 and 1 or 0)
return taken
""",
)

PEEK = make_script(
    _PARTITIONS,
    """
local position, limit, waits = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
if not is_live() then return {0, waits and await() or ''} end
local tail = tonumber(redis.call('HGET', state, 'tail')) or 0
local head = tail - redis.call('LLEN', items)
local first = (head <= position and position <= tail) and position or head
local found = {}
if limit > 0 then
  found = redis.call('LRANGE', items, first - head, first - head + limit - 1)
end
local last = (waits and #found == 0) and await() or ''
table.insert(found, 1, last)
table.insert(found, 1, first + #found - 1)
return found
""",
    changes=False,
)

COUNT = make_script(
    _PARTITIONS, "return {is_live() and redis.call('LLEN', items) or 0}", changes=False
)

USAGE = make_script(
    _PARTITIONS,
    """
local used, total = 0, 0
for _, each in ipairs(
  redis.call('ZRANGE', partitions, '(' .. whole(now), '+inf', 'BYSCORE')) do
  local length = redis.call('LLEN', tag .. ':items:' .. each)
  if length > 0 then used, total = used + 1, total + length end
end
return {used, total}
""",
    changes=False,
)

CLEAR = make_script(
    _PARTITIONS,
    """
if is_live() then
  redis.call('UNLINK', items, bell)
  redis.call('HSET', state, 'size', 0)
  tell(changes, watch)
end
return {1}
""",
)

CLEAR_ALL = make_script(
    _PARTITIONS,
    """
for _, each in ipairs(redis.call('ZRANGE', partitions, 0, -1)) do
  erase(each)
  tell(tag .. ':changes:' .. each, tag .. ':watch:' .. each)
end
return {1}
""",
)

REMOVE = make_script(
    _PARTITIONS,
    """
for _, each in ipairs(redis.call('ZRANGE', partitions, 0, -1)) do erase(each) end
redis.call('UNLINK', KEYS[1], partitions)
return {1}
""",
)


class QueueKeys(NamedTuple):
    """The keys of the scripts above, in their order."""

    presence: bytes
    partitions: bytes
    items: bytes
    state: bytes
    bell: bytes
    changes: bytes
    watch: bytes


def queue_keys(queue_id: str, partition: bytes) -> QueueKeys:
    """The keys of a Queue and of one of its partitions."""
    tag = f"{{{queue_id}}}:".encode()
    parts = (b"items:", b"state:", b"bell:", b"changes:", b"watch:")
    shared = presence_key(queue_id).encode(), tag + b"partitions"
    return QueueKeys(*shared, *(tag + part + partition for part in parts))
