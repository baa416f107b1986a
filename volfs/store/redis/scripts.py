"""What all scripts of contents begin with: the time, and whether the Dict or Queue is there.

The first key of each is the *presence* of the resource, the first word the present time in
milliseconds. The time is empty unless a test says what it is: then the server's clock tells it.
A script that finds no presence does nothing and answers nil.
"""

from __future__ import annotations

from volfs.store.redis.table_server import Script

_TIME = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local function whole(number) return string.format('%.0f', number) end
"""


def make_script(*parts: str, adds: bool = False, changes: bool = True) -> Script:
    """A script about the contents of a resource: common functions, and what it does with them."""
    return Script(_TIME + "".join(parts), adds=adds, changes=changes)


def presence_key(resource_id: str) -> str:
    """The key that says that a Dict or Queue is there. All its keys begin with its hash tag."""
    return f"{{{resource_id}}}:presence"
