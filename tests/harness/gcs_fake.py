"""A small Google Cloud Storage by its XML interface, in threads of this process.

It knows objects with generations, conditions on them, ranges, copies, pages, uploads in parts,
signatures by HMAC keys (GOOG4-HMAC-SHA256), and tokens of a service account, which it gives out
itself at ``/token``. It cannot show requester pays, retention, rights of single objects, or load.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import re
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

EMAIL = "tester@project.iam.gserviceaccount.com"


class _Stored(NamedTuple):
    data: bytes
    generation: int
    headers: dict[str, str]


class GcsFake:
    """``GOOGLE_ACCESS_KEY_ID`` and its secret are ``access_key`` and ``secret_key``."""

    access_key, secret_key = "GOOGTESTER", "google-secret-key"

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.buckets: dict[str, dict[str, _Stored]] = {}
        self.uploads: dict[str, tuple[str, str, dict[str, str], dict[int, bytes]]] = {}
        self.tokens: set[str] = set()
        self.token_life = 3600
        self.numbers = itertools.count(1_700_000_000_000_001)
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.fake = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def make_account(self) -> str:
        """The JSON key of a service account that this fake knows."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        account = {"type": "service_account", "client_email": EMAIL, "private_key": pem.decode()}
        return json.dumps(account | {"token_uri": f"{self.endpoint}/token"})

    def is_signed(self, assertion: str) -> bool:
        body, _, signature = assertion.rpartition(".")
        try:
            self._key.public_key().verify(
                base64.urlsafe_b64decode(signature + "=="),
                body.encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            return False
        return True


class _RefusedError(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _serve(self) -> None:
        self.fake: GcsFake = self.server.fake  # type: ignore[attr-defined]
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = urlsplit(self.path)
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        bucket, _, self.key = unquote(parts.path)[1:].partition("/")
        try:
            if parts.path == "/token":
                return self._give_token()
            self._authorize(parts.path)
            with self.fake.lock:
                self._route(bucket)
        except _RefusedError as refusal:
            self._reply(refusal.status, f"<Error><Code>{refusal.code}</Code></Error>".encode())

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _route(self, bucket: str) -> None:
        if self.command == "PUT" and not self.key:
            self.fake.buckets.setdefault(bucket, {})
            return self._reply(200)
        if bucket not in self.fake.buckets:
            raise _RefusedError(404, "NoSuchBucket")
        self.bucket, self.objects = bucket, self.fake.buckets[bucket]
        if "uploads" in self.query or "uploadId" in self.query:
            return self._upload()
        if not self.key:
            return self._list()
        return getattr(self, f"_{self.command.lower()}")()

    # --- who asks ---------------------------------------------------------------

    def _give_token(self) -> None:
        form = {name: values[0] for name, values in parse_qs(self.body.decode()).items()}
        if not self.fake.is_signed(form.get("assertion", ".")):
            raise _RefusedError(401, "invalid_grant")
        token = f"token-{next(self.fake.numbers)}"
        self.fake.tokens.add(token)
        told = {"access_token": token, "expires_in": self.fake.token_life}
        self._reply(200, json.dumps(told).encode())

    def _authorize(self, path: str) -> None:
        shown = self.headers.get("authorization", "")
        if shown.startswith("Bearer "):
            if shown[7:] not in self.fake.tokens:
                raise _RefusedError(401, "AuthenticationRequired")
        elif shown:
            self._check_signature(shown, path)
        else:
            raise _RefusedError(403, "AccessDenied")

    def _check_signature(self, shown: str, path: str) -> None:
        found = re.fullmatch(
            r"GOOG4-HMAC-SHA256 Credential=(\w+)/(\S+), SignedHeaders=(\S+), Signature=(\w+)", shown
        )
        if found is None or found[1] != self.fake.access_key:
            raise _RefusedError(403, "InvalidAccessKeyId")
        payload = self.headers["x-goog-content-sha256"]
        if hashlib.sha256(self.body).hexdigest() != payload:
            raise _RefusedError(400, "BadDigest")
        names = found[3].split(";")
        lines = "".join(f"{name}:{self.headers.get(name, '')}\n" for name in names)
        pairs = sorted(
            f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in self.query.items()
        )
        text = f"{self.command}\n{path}\n{'&'.join(pairs)}\n{lines}\n{found[3]}\n{payload}"
        key = f"GOOG4{self.fake.secret_key}".encode()
        for part in found[2].split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        digest = hashlib.sha256(text.encode()).hexdigest()
        signed = f"GOOG4-HMAC-SHA256\n{self.headers['x-goog-date']}\n{found[2]}\n{digest}"
        if hmac.new(key, signed.encode(), "sha256").hexdigest() != found[4]:
            raise _RefusedError(403, "SignatureDoesNotMatch")

    # --- objects ----------------------------------------------------------------

    def _find(self, key: str) -> _Stored:
        if key not in self.objects:
            raise _RefusedError(404, "NoSuchKey")
        return self.objects[key]

    def _check_condition(self) -> None:
        wanted = self.headers.get("x-goog-if-generation-match")
        stored = self.objects.get(self.key)
        if wanted is not None and int(wanted) != (stored.generation if stored else 0):
            raise _RefusedError(412, "PreconditionFailed")

    def _head(self) -> None:
        self._get()

    def _get(self) -> None:
        stored = self._find(self.key)
        self._check_condition()
        headers = self._describe(stored)
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        if asked is None:
            return self._reply(200, stored.data, headers)
        first, last = int(asked[1]), min(int(asked[2]), len(stored.data) - 1)
        if first > last:
            raise _RefusedError(416, "InvalidRange")
        headers["content-range"] = f"bytes {first}-{last}/{len(stored.data)}"
        return self._reply(206, stored.data[first : last + 1], headers)

    def _put(self) -> None:
        self._check_condition()
        data = self.body
        source = self.headers.get("x-goog-copy-source")
        if source is not None:
            data = self._find(unquote(source).split("/", 2)[2]).data
        sent = self.headers.get("content-md5")
        if sent and sent != base64.b64encode(hashlib.md5(self.body).digest()).decode():
            raise _RefusedError(400, "BadDigest")
        stored = self._store(self.key, data, self._read_meta())
        answer = b"<CopyObjectResult></CopyObjectResult>" if source is not None else b""
        self._reply(200, answer, self._describe(stored))

    def _delete(self) -> None:
        self._find(self.key)
        del self.objects[self.key]
        self._reply(204)

    def _store(self, key: str, data: bytes, meta: dict[str, str]) -> _Stored:
        self.objects[key] = _Stored(data, next(self.fake.numbers), meta)
        return self.objects[key]

    def _read_meta(self) -> dict[str, str]:
        return {
            k.lower(): v for k, v in self.headers.items() if k.lower().startswith("x-goog-meta")
        }

    def _describe(self, stored: _Stored) -> dict[str, str]:
        return stored.headers | {
            "x-goog-generation": str(stored.generation),
            "etag": f'"{hashlib.md5(stored.data).hexdigest()}"',
            "last-modified": formatdate(usegmt=True),
        }

    # --- listings and parts -----------------------------------------------------

    def _list(self) -> None:
        prefix, after = self.query.get("prefix", ""), self.query.get("continuation-token", "")
        found: dict[str, str] = {}
        for key in sorted(self.objects, key=str.encode):
            if key.startswith(prefix):
                rest = key[len(prefix) :]
                if "delimiter" in self.query and "/" in rest:
                    name = prefix + rest.partition("/")[0] + "/"
                    text = f"<CommonPrefixes><Prefix>{quote(name)}</Prefix></CommonPrefixes>"
                    found[name] = text
                else:
                    found[key] = self._list_one(key)
        names = [name for name in found if name > after]
        shown = names[: int(self.query["max-keys"])]
        more = len(shown) < len(names)
        token = (
            f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
        )
        text = "".join(found[name] for name in shown)
        head = f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
        self._reply(200, _tag("ListBucketResult", head + token + text).encode())

    def _list_one(self, key: str) -> str:
        stored = self.objects[key]
        fields = f"<Key>{quote(key)}</Key><Generation>{stored.generation}</Generation>"
        fields += (
            f"<Size>{len(stored.data)}</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        )
        return f"<Contents>{fields}</Contents>"

    def _upload(self) -> None:
        upload = self.query.get("uploadId", "")
        if "uploads" in self.query and self.command == "GET":
            return self._list_uploads()
        if "uploads" in self.query:
            upload = f"upload-{next(self.fake.numbers)}"
            self.fake.uploads[upload] = (self.bucket, self.key, self._read_meta(), {})
            text = _tag("InitiateMultipartUploadResult", _tag("UploadId", upload))
            return self._reply(200, text.encode())
        if upload not in self.fake.uploads:
            raise _RefusedError(404, "NoSuchUpload")
        _, key, meta, parts = self.fake.uploads[upload]
        if self.command == "PUT":
            parts[int(self.query["partNumber"])] = self.body
            return self._reply(200, b"", {"etag": f'"{hashlib.md5(self.body).hexdigest()}"'})
        del self.fake.uploads[upload]
        if self.command == "POST":
            root = ElementTree.fromstring(self.body)
            wanted = [int(part.findtext("PartNumber") or 0) for part in root.iterfind("Part")]
            self._store(key, b"".join(parts[number] for number in wanted), meta)
        return self._reply(200, b"<CompleteMultipartUploadResult/>")

    def _list_uploads(self) -> None:
        prefix = self.query.get("prefix", "")
        text = "".join(
            f"<Upload><Key>{quote(key)}</Key><UploadId>{upload}</UploadId></Upload>"
            for upload, (bucket, key, _, _) in self.fake.uploads.items()
            if bucket == self.bucket and key.startswith(prefix)
        )
        head = "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
        self._reply(
            200, f"<ListMultipartUploadsResult>{head}{text}</ListMultipartUploadsResult>".encode()
        )

    def _reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tag(name: str, text: str) -> str:
    return f"<{name}>{text}</{name}>"
