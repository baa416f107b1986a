"""A service of credentials on loopback, and files and settings that hold credentials."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from volfs.buckets.credentials.aws_credentials import find_keys
from volfs.buckets.credentials.credentials import Keys
from volfs.buckets.options import BucketOptions

SECRET = "hush-hush-hush"
NO_MACHINE = {"AWS_EC2_METADATA_DISABLED": "true"}


class CredentialService:
    """A service of credentials on loopback: answers by path, and what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str]] = {}
        self.asked: list[tuple[str, str, dict[str, str], str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _CredentialHandler)
        self._server.daemon_threads = True
        self._server.service = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.endpoint = f"http://{self.host}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _CredentialHandler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _serve(self) -> None:
        service: CredentialService = self.server.service  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        path = self.path.partition("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        service.asked.append((self.command, self.path, headers, body))
        status, text = service.answers.get(path, (404, ""))
        self.send_response(status)
        kind = "application/json" if text.startswith("{") else "text/xml"
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_PUT = do_POST = _serve  # noqa: N815 - http.server's names


def keys_of(
    environ: dict[str, str], secret: dict[str, str] | None = None, **options: object
) -> Keys | None:
    found = find_keys(
        BucketOptions(secret=secret, environ={**NO_MACHINE, **environ}, **options),  # type: ignore[arg-type]
        "us-east-1",
    )
    return None if found is None else found(False)


def write_aws(home: Path, name: str, text: str) -> dict[str, str]:
    (home / ".aws").mkdir(exist_ok=True)
    (home / ".aws" / name).write_text(text)
    return {"HOME": str(home)}
