"""The arithmetic of docs/scale.md: sizes and requests of the code as it is, times large numbers.

    python -m bench.on_paper    writes the tables of docs/scale.md anew

tests/docs/test_scale.py fails if the page says anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.paper_requests import Requests, count_requests
from bench.paper_sizes import measure_sizes
from volfs.model.logs.line import LINE_LIMIT
from volfs.store.distributed.data.place_rows import LIMIT as ROWS_LIMIT
from volfs.store.distributed.data.segment_reader import DIRECTORY_BYTES, FILTER_BYTES
from volfs.store.distributed.data.spool import FULL
from volfs.store.distributed.leases.lease_lines import RENEWED_SECONDS

PAGE = Path(__file__).parent.parent / "docs" / "scale.md"
KB, MB, GB, TB, PB = 10**3, 10**6, 10**9, 10**12, 10**15
HOSTS, CHUNKS, STORE = 10_000, 100_000_000, PB
VOLUMES = 10_000
CHUNK = 1 << 20
PUT_DOLLARS, GET_DOLLARS = 5e-6, 0.4e-6
MONTH_DOLLARS = 0.023 / GB
PUT_RATE, GET_RATE = 3_500, 5_500
"""Requests a second that S3 serves for one prefix."""
PAGE_KEYS = 1_000
MEMORY_OF_PACK = 360
"""Bytes of memory of each pack in the state of a volume: measured by tests/docs/test_scale.py."""
MEMORY_OF_ROW = 107
"""Bytes of the file for each object in the rows of a machine: 32 of key, 32 of value, 10 of LMDB,
in pages that are 70 % full."""
RENEWAL = RENEWED_SECONDS / 8
"""A lease is renewed eight times within its ttl."""

Sizes = Mapping[str, float]
Counted = Mapping[str, Requests]
Rows = Iterable[Sequence[str]]


def make_tables(sizes: Sizes, requests: Counted) -> dict[str, str]:
    """The tables of the page, by name."""
    return {
        "sizes": format_table(("bytes of", ""), _size_rows(sizes)),
        "requests": format_table(
            ("operation", "PUT", "GET", "LIST", "$ for a million"), _request_rows(requests)
        ),
        "hosts": format_table(("10,000 hosts", "requests", "at least", "$"), _host_rows(requests)),
        "volume": format_table(("100 M chunks in one volume", "", ""), _volume_rows(sizes)),
        "store": format_table(("1 PB", "", ""), _store_rows(sizes)),
        "gc": format_table(("gc of 1 PB", "requests", "$", ""), _gc_rows(sizes)),
        "limits": format_table(("limit", "of", "is reached at"), _limit_rows(sizes)),
    }


def _size_rows(sizes: Sizes) -> Rows:
    return ((name, f"{size:,.2f}".rstrip("0").rstrip(".")) for name, size in sizes.items())


def _request_rows(requests: Counted) -> Rows:
    for name, each in requests.items():
        yield name, *(str(number or "") for number in each), f"{price(each) * 1e6:.2f}"


def price(each: Requests) -> float:
    return (each.puts + each.lists) * PUT_DOLLARS + each.gets * GET_DOLLARS


def _host_rows(requests: Counted) -> Rows:
    one = ("open a store", "find a volume by its name, first time", "put a lease")
    mounts = total(requests[name] for name in one)
    yield _burst("mount one volume at the same time", mounts)
    yield _burst("look at its head at the same time", requests["look at a head that is known"])
    commit = requests["commit, up to 128 KiB"]
    for name, seconds in (("once an hour", 3600), ("once in 10 s", 10)):
        day = scale(commit, HOSTS * 86_400 // seconds)
        what = f"commit a small file {name}, each in a volume of its own, for a day"
        yield what, show(sum(day)), f"{HOSTS / seconds:,.0f} a second", f"{price(day):,.2f}"
    renewals = scale(Requests(1, 1, 0), HOSTS * 86_400 // int(RENEWAL))
    yield "renew their leases, for a day", show(sum(renewals)), "", f"{price(renewals):,.2f}"
    listed = Requests(0, HOSTS * requests["list leases, each beside"].gets, HOSTS // PAGE_KEYS)
    yield _burst_row("one `expire` beside all their leases", listed)


def _burst(name: str, each: Requests) -> Sequence[str]:
    return _burst_row(name, scale(each, HOSTS))


def _burst_row(name: str, all_: Requests) -> Sequence[str]:
    seconds = max(all_.puts / PUT_RATE, (all_.gets + all_.lists) / GET_RATE)
    return name, show(sum(all_)), f"{seconds:,.0f} s", f"{price(all_):,.2f}"


def _volume_rows(sizes: Sizes) -> Rows:
    packs, blocks = CHUNKS * CHUNK // FULL, sizes["the same, in the directory"]
    entries = CHUNKS * sizes["each object in an index segment"]
    filters = CHUNKS * sizes["the same, in the filter"]
    directories = CHUNKS * blocks + packs * sizes["each pack in the directory"]
    yield "content, in chunks of 1 MiB", show_bytes(CHUNKS * CHUNK), "100 M · 1 MiB"
    yield "packs of 64 MiB", show(packs), "content / 64 MiB"
    yield "entries of index segments", show_bytes(entries), "100 M objects"
    yield "filters", show_bytes(filters), "read only by commits of more than 64 MiB"
    yield "directories of the segments", show_bytes(directories), "read once by each process"
    table = packs * sizes["each pack in a checkpoint or a piece"]
    yield "the table of packs", show_bytes(table), "read once by each process"
    memory = packs * MEMORY_OF_PACK
    yield "memory of the state", show_bytes(memory), f"{MEMORY_OF_PACK} bytes a pack, measured"
    rows = CHUNKS * MEMORY_OF_ROW
    yield "rows of a machine that has read all of it", show_bytes(rows), "limit: 2 GiB"
    lists = CHUNKS * sizes["each chunk in the list of a file"]
    yield "lists of chunks", show_bytes(lists), "before compression"


def _store_rows(sizes: Sizes) -> Rows:
    packs, chunks = STORE // FULL, STORE // CHUNK
    yield "packs", show(packs), "1 PB / 64 MiB"
    puts = (packs + chunks * CHUNK // FULL) * PUT_DOLLARS / 2
    yield "requests that put them", f"{puts:,.0f} $", "one PUT each"
    yield "storage for a month", f"{STORE * MONTH_DOLLARS:,.0f} $", "0.023 $ a GB"
    footers = chunks * sizes["each object in the footer of a pack"]
    yield "footers", show_bytes(footers), "in the packs"
    index = chunks * (
        sizes["each object in an index segment"]
        + sizes["the same, in the filter"]
        + sizes["the same, in the directory"]
    )
    yield "index segments", show_bytes(index), f"{index / STORE:.4%} of the content"
    yield "read it once by 64 MiB", f"{packs * 8 * GET_DOLLARS:,.0f} $", "8 GETs of 8 MiB a pack"


def _gc_rows(sizes: Sizes) -> Rows:
    packs, chunks = STORE // FULL, STORE // CHUNK
    logs = Requests(0, 4 * VOLUMES, 4)
    fences = Requests(VOLUMES, VOLUMES, 0)
    leases = Requests(0, 4 * HOSTS, 2 * HOSTS // PAGE_KEYS)
    listed = Requests(0, 0, packs // PAGE_KEYS)
    for name, each, note in (
        ("logs of 10,000 volumes, twice for each look at what is needed", logs, "4 passes"),
        ("fences", fences, "one line a volume, and a look before it"),
        ("leases of 10,000 hosts", leases, "2 passes, 2 GETs a lease"),
        ("a listing of all packs", listed, "1,000 a page"),
    ):
        yield name, show(sum(each)), f"{price(each):.2f}", note
    yield "memory: a bit for each record", "", "", show_bytes(chunks / 8)
    lists = chunks * sizes["each chunk in the list of a file"]
    yield "lists of chunks that the first gc reads", "", "", show_bytes(lists)


def _limit_rows(sizes: Sizes) -> Rows:
    pack, line = (
        sizes["each pack that a line names"],
        sizes["each line with objects that a fork names"],
    )
    yield _limit("a line: a fork names each pack", LINE_LIMIT, pack, "packs", FULL)
    yield _limit("a line: a fork names each small commit", LINE_LIMIT, line, "small commits")
    yield _limit("a line: one commit names its packs", LINE_LIMIT, pack, "packs", FULL)
    condemned = sizes["each pack that gc condemns"]
    yield _limit("a line: gc condemns packs", LINE_LIMIT, condemned, "packs", FULL)
    each = sizes["each pack in the directory"] + 64 * sizes["the same, in the directory"]
    yield _limit("directories kept in memory", DIRECTORY_BYTES, each, "packs", FULL)
    filtered = sizes["the same, in the filter"]
    yield _limit("filters kept in memory", FILTER_BYTES, filtered, "objects", CHUNK)
    yield _limit("rows of a machine", ROWS_LIMIT, MEMORY_OF_ROW, "objects", CHUNK)


def _limit(name: str, limit: int, each: float, what: str, content: int = 0) -> Sequence[str]:
    count = int(limit / each)
    behind = f", {show_bytes(count * content)}" if content else ""
    return name, f"{limit >> 20:,} MiB", f"{show(count)} {what}{behind}"


# --- words and numbers ----------------------------------------------------------------


def total(parts: Iterable[Requests]) -> Requests:
    return Requests(*map(sum, zip(*parts, strict=True)))


def scale(each: Requests, times: int) -> Requests:
    return Requests(*(number * times for number in each))


def show(count: float) -> str:
    """A count, with three digits that say something."""
    for unit, word in ((10**9, " G"), (10**6, " M")):
        if count >= unit:
            return f"{count / unit:.3g}{word}"
    return f"{float(f'{count:.3g}'):,.0f}"


def show_bytes(size: float) -> str:
    for unit, word in ((PB, "PB"), (TB, "TB"), (GB, "GB"), (MB, "MB"), (KB, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {word}"
    return f"{size:.0f} bytes"


def format_table(header: Sequence[str], rows: Rows) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# --- the page ---------------------------------------------------------------------------


def find_tables(text: str) -> dict[str, str]:
    """The tables of a page, by the names in the comments around them."""
    return dict(re.findall(r"<!-- (\w+) -->\n(.*?)\n<!-- end -->", text, re.DOTALL))


def read_requests(table: str) -> dict[str, Requests]:
    """The requests that the page states."""
    rows = (line.strip("| ").split(" | ") for line in table.splitlines()[2:])
    return {
        name.strip(): Requests(*(int(cell.strip() or 0) for cell in cells[:3]))
        for name, *cells in rows
    }


def renew(text: str, tables: Mapping[str, str]) -> str:
    for name, table in tables.items():
        former = find_tables(text)[name]
        text = text.replace(f"<!-- {name} -->\n{former}\n", f"<!-- {name} -->\n{table}\n")
    return text


def main() -> None:
    PAGE.write_text(renew(PAGE.read_text(), make_tables(measure_sizes(), count_requests())))


if __name__ == "__main__":
    main()
