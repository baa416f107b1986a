"""HTTP proxies that the environment names: which requests go by them, and what they may do."""

from __future__ import annotations

import base64
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.harness.bucket_servers import create_s3_bucket, secret_of
from tests.harness.servers import SeaweedServer
from tests.harness.tls_door import answering_as
from volfs.buckets.access import Bucket
from volfs.buckets.opening import open_bucket
from volfs.buckets.options import BucketOptions
from volfs.buckets.proxies import find_proxy
from volfs.errors import InvalidError, StoreUnavailableError

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "environ", "found"),
    [
        ("https://s3.example/b", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://s3.example/b", {"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, PROXY),
        ("https://s3.example/b", {"HTTP_PROXY": PROXY}, ""),
        ("http://s3.example/b", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://s3.example/b", {"ALL_PROXY": "proxy.example:3128"}, PROXY),
        ("https://s3.example", {"https_proxy": "https://p"}, "https://p:443"),
        ("https://s3.example", {"https_proxy": "p"}, "http://p:80"),
        ("https://s3.example", {"https_proxy": "[::1]:8"}, "http://[::1]:8"),
        ("https://s3.example", {"https_proxy": "  "}, ""),
        ("http://127.0.0.1:9", {"ALL_PROXY": PROXY}, ""),
        ("http://[::1]:9", {"ALL_PROXY": PROXY}, ""),
        ("http://localhost:9", {"ALL_PROXY": PROXY}, ""),
        ("http://s3.localhost", {"ALL_PROXY": PROXY}, ""),
        ("http://169.254.169.254/latest", {"ALL_PROXY": PROXY}, ""),
    ],
)
def test_which_proxy(url: str, environ: dict[str, str], found: str) -> None:
    proxy = find_proxy(url, environ)
    assert (proxy.url if proxy else "") == found


@pytest.mark.parametrize(
    ("host", "exempt", "is_exempt"),
    [
        ("a.example", "*", True),
        ("a.example", "example", True),
        ("a.example", ".example", True),
        ("a.example", "*.example", True),
        ("example", ".example", True),
        ("bexample", "example", False),
        ("a.example", "b.example, A.EXAMPLE", True),
        ("a.example:9", "a.example:9", True),
        ("a.example:9", "a.example:8", False),
        ("a.example", "", False),
        ("a.example", ",, ,", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("[fd00::1]:9", "fd00::/8", True),
        ("[fd00::1]:9", "[fd00::1]:9", True),
        ("a.example", "10.0.0.0/8", False),
    ],
)
def test_whom_no_proxy_means(host: str, exempt: str, is_exempt: bool) -> None:
    environ = {"ALL_PROXY": PROXY, "NO_PROXY": exempt}
    assert (find_proxy(f"http://{host}/x", environ) is None) == is_exempt


@pytest.mark.parametrize("said", ["socks5://u:hush@p", "http://u:hush@p:x", "http://u:hush@"])
def test_what_is_no_proxy(said: str) -> None:
    with pytest.raises(InvalidError, match="https_proxy") as caught:
        find_proxy("https://a.example", {"HTTPS_PROXY": said})
    assert "hush" not in str(caught.value)


class ForwardingProxy(ThreadingHTTPServer):
    """Forwards whole URLs and makes tunnels, for one user, whatever the host's name is, to one
    upstream."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.upstream = upstream
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self._thread.start()

    def name(self, user: str) -> str:
        return f"http://{user}@127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Forward(BaseHTTPRequestHandler):
    server: ForwardingProxy
    protocol_version = "HTTP/1.1"

    def _allows(self) -> bool:
        self.server.asked.append(f"{self.command} {self.path.partition('?')[0]}")
        shown = self.headers.get("proxy-authorization", "")
        if shown == "Basic " + base64.b64encode(b"u:p@ss").decode():
            return True
        self.send_error(407)
        return False

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if not self._allows():
            return
        parts = urlsplit(self.path)
        target = f"{self.server.upstream}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        headers = {k: v for k, v in self.headers.items() if not k.lower().startswith("proxy-")}
        request = Request(target, body or None, headers, method=self.command)
        with urlopen(request, timeout=20) as answer:
            data = answer.read()
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                if key.lower() not in ("connection", "content-length", "transfer-encoding"):
                    self.send_header(key, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    do_GET = do_PUT = _forward  # noqa: N815 - http.server's names

    def do_CONNECT(self) -> None:
        if not self._allows():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as other:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: other, other: self.connection}
            while True:
                for one in select.select(list(ends), [], [], 20)[0]:
                    data = one.recv(65536)
                    if not data:
                        self.close_connection = True
                        return
                    ends[one].sendall(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def forwarder(seaweed: SeaweedServer) -> Iterator[ForwardingProxy]:
    proxy = ForwardingProxy(seaweed.endpoint)
    try:
        yield proxy
    finally:
        proxy.close()


def open_by(
    seaweed: SeaweedServer,
    name: str,
    endpoint: str,
    environ: dict[str, str],
    deadline: float = 60.0,
) -> Bucket:
    options = BucketOptions(secret=secret_of(seaweed), environ=environ, deadline=deadline)
    return open_bucket(f"s3://{name}?endpoint={endpoint}&region=us-east-1", options)


def test_requests_go_by_a_proxy(seaweed: SeaweedServer, forwarder: ForwardingProxy) -> None:
    """As whole URLs, signed for the host that is meant, which only the proxy finds."""
    name = create_s3_bucket(seaweed)
    environ = {"http_proxy": forwarder.name("u:p%40ss")}
    with closing(open_by(seaweed, name, "http://store.invalid", environ)) as bucket:
        bucket.put("k ü", b"bytes")
        assert bytes(bucket.get("k ü")[1]) == b"bytes"
    assert forwarder.asked[0] == f"PUT http://store.invalid/{name}/k%20%C3%BC"
    forwarder.asked.clear()
    exempt = environ | {"NO_PROXY": "127.0.0.1"}
    with closing(open_by(seaweed, name, seaweed.endpoint, exempt)) as bucket:
        assert bucket.head("k ü").size == 5
    assert forwarder.asked == []


def test_a_proxy_that_refuses(seaweed: SeaweedServer, forwarder: ForwardingProxy) -> None:
    for scheme in ("http", "https"):
        environ = {f"{scheme}_proxy": forwarder.name("u:hush")}
        said = _fail(open_by(seaweed, "bucket", f"{scheme}://store.invalid", environ, 3.0))
        assert "407" in said
        assert "hush" not in said
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        environ = {"https_proxy": f"http://u:hush@127.0.0.1:{holder.getsockname()[1]}"}
        assert "hush" not in _fail(
            open_by(seaweed, "bucket", "https://store.invalid", environ, 3.0)
        )


def _fail(bucket: Bucket) -> str:
    with closing(bucket), pytest.raises(StoreUnavailableError, match="proxy does not") as caught:
        bucket.get("x")
    return str(caught.value)


def test_tls_goes_through_a_tunnel(
    seaweed: SeaweedServer, forwarder: ForwardingProxy, tmp_path: Path
) -> None:
    name = create_s3_bucket(seaweed)
    with answering_as("store.invalid", seaweed.endpoint, tmp_path) as certificate:
        environ = {"HTTPS_PROXY": forwarder.name("u:p%40ss"), "AWS_CA_BUNDLE": str(certificate)}
        with closing(open_by(seaweed, name, "https://store.invalid", environ)) as bucket:
            bucket.put("x", b"by a tunnel")
            assert bytes(bucket.get("x")[1]) == b"by a tunnel"
    assert set(forwarder.asked) == {"CONNECT store.invalid:443"}
