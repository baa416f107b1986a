"""A bucket of as many keys as one likes, which exist only in its listings.

It answers LIST and HEAD as S3 does, without credentials. The keys are ``many/0000000`` and so on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

FOLDER = "many/"
TIME = "2026-01-31T12:00:00.000Z"
_ENTRY = (
    "<Contents><Key>many/{0:07}</Key><LastModified>{1}</LastModified><ETag>&quot;{0}&quot;</ETag>"
    "<Size>{0}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


class ListingServer(ThreadingHTTPServer):
    """Listens at a port of its own, in threads of this process."""

    daemon_threads = True

    def __init__(self, count: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.count = count
        self.asked: list[str] = []
        """The requests: the method, and for a LIST its query."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def make_page(self, query: dict[str, str]) -> str:
        prefix, limit = query.get("prefix", ""), int(query.get("max-keys", "1000"))
        if not FOLDER.startswith(prefix) and not prefix.startswith(FOLDER):
            return _finish("", "")
        if "delimiter" in query and prefix != FOLDER and FOLDER.startswith(prefix):
            return _finish(f"<CommonPrefixes><Prefix>{FOLDER}</Prefix></CommonPrefixes>", "")
        if prefix not in ("", FOLDER):
            return _finish("", "")
        first = int(query.get("continuation-token", "0"))
        last = min(first + limit, self.count)
        entries = "".join([_ENTRY.format(number, TIME) for number in range(first, last)])
        return _finish(entries, str(last) if last < self.count else "")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ListingServer

    def do_GET(self) -> None:
        query = urlsplit(self.path).query
        self.server.asked.append(f"GET {query}")
        self._answer(200, self.server.make_page(dict(parse_qsl(query))).encode())

    def do_HEAD(self) -> None:
        self.server.asked.append("HEAD")
        name = urlsplit(self.path).path.rpartition("/")[2]
        there = name.isdecimal() and len(name) == 7 and int(name) < self.server.count
        self._answer(200 if there else 404, b"", int(name) if there else 0, f'"{name.lstrip("0")}"')

    def _answer(self, status: int, body: bytes, size: int = 0, etag: str = "") -> None:
        self.send_response(status)
        self.send_header("content-length", str(size or len(body)))
        self.send_header("last-modified", "Sat, 31 Jan 2026 12:00:00 GMT")
        self.send_header("etag", etag if etag != '""' else '"0"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def _finish(inner: str, token: str) -> str:
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    truncated = "true" if token else "false"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult><EncodingType>url</EncodingType>'
        f"<IsTruncated>{truncated}</IsTruncated>{more}{inner}</ListBucketResult>"
    )


@contextmanager
def listing(count: int) -> Iterator[ListingServer]:
    """A server of so many keys, until the end of the block."""
    server = ListingServer(count)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
