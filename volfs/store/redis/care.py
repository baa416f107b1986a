"""What about a server may cost somebody data: its settings, not its content."""

from __future__ import annotations

from volfs.errors import StoreError
from volfs.store.redis.address import TablesAddress
from volfs.store.redis.table_server import TableServer

_NO_FILE = (
    "appendonly is no: what was written since the last snapshot is lost when the server ends; set "
    "it to yes"
)
_NO_SYNC = (
    "appendfsync is no: what was written last is lost in a power cut; set it to everysec (a second "
    "is lost) or always (nothing is)"
)


def find_risks(address: TablesAddress) -> list[str]:
    """The settings that may lose what a Dict or a Queue has, each with what to do. StoreError."""
    server = TableServer(address)
    try:
        server.check_fit()
        facts = server.read_facts()
        synced = _read_setting(server, "appendfsync")
    finally:
        server.close()
    risks = []
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        risks.append(
            f"maxmemory-policy is {policy}: a server without memory removes entries and items; set "
            "it to noeviction"
        )
    if facts.get("aof_enabled", "1") == "0":
        risks.append(_NO_FILE)
    elif synced == "no":
        risks.append(_NO_SYNC)
    return risks


def _read_setting(server: TableServer, name: str) -> str:
    """A setting; nothing if the user may not ask for it."""
    try:
        answer = server.call("CONFIG", "GET", name)
    except StoreError:
        return ""
    return answer[1].decode() if len(answer) == 2 else ""
