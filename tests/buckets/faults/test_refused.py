"""Every line of the table of errors that a network or a service can bring about."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.buckets.faults.conftest import DEADLINE
from tests.harness.bucket_servers import secret_of
from tests.harness.fault_proxy import Fault, FaultProxy
from tests.harness.servers import SeaweedServer
from volfs import errors
from volfs.buckets import wire
from volfs.buckets.access import Bucket
from volfs.buckets.address import BucketAddress
from volfs.buckets.doors.doors import place_bucket
from volfs.buckets.opening import open_bucket
from volfs.buckets.options import BucketOptions

MIB = 1024 * 1024


REFUSED = [
    (401, "", errors.StoreDeniedError, "check the credentials"),
    (403, "AccessDenied", errors.StoreDeniedError, "may not do that"),
    (403, "InvalidAccessKeyId", errors.StoreDeniedError, "its secret is wrong"),
    (403, "SignatureDoesNotMatch", errors.StoreDeniedError, "its secret is wrong"),
    (400, "ExpiredToken", errors.StoreDeniedError, "expired"),
    (403, "RequestTimeTooSkewed", errors.StoreDeniedError, "set the clock"),
    (403, "InvalidObjectState", errors.StoreDeniedError, "archive"),
    (400, "UserProjectMissing", errors.StoreDeniedError, "requester pays"),
    (403, "QuotaExceeded", errors.OutOfSpaceError, "quota"),
    (507, "XMinioStorageFull", errors.OutOfSpaceError, "no room"),
    (404, "NoSuchBucket", errors.BucketNotFoundError, "no such bucket"),
    (404, "NoSuchKey", errors.ObjectNotFoundError, "no such object"),
    (412, "PreconditionFailed", errors.ObjectChangedError, "replaced or deleted"),
    (400, "EntityTooLarge", errors.StoreError, "does not take this request"),
    (301, "PermanentRedirect", errors.StoreError, "region=eu-north-1"),
    (400, "AuthorizationHeaderMalformed", errors.StoreError, "region=eu-north-1"),
]


@pytest.mark.parametrize(("status", "code", "error", "said"), REFUSED, ids=str)
def test_what_is_refused_is_told_and_not_repeated(
    bucket: Bucket,
    proxy: FaultProxy,
    status: int,
    code: str,
    error: type[errors.VolfsError],
    said: str,
) -> None:
    region = (("x-amz-bucket-region", "eu-north-1"),)
    proxy.add(Fault.STATUS, method="GET", status=status, code=code, headers=region)
    with pytest.raises(error, match=said) as caught:
        bucket.get("refused")
    assert type(caught.value) is error
    assert str(caught.value).startswith(f"{bucket.door.describe()}: GET refused: ")
    assert proxy.count() == 1


@pytest.mark.parametrize(
    ("fault", "details", "error", "said"),
    [
        (Fault.STATUS, {"status": 500}, errors.StoreUnavailableError, "has a fault"),
        (Fault.STATUS, {"status": 503}, errors.StoreUnavailableError, "fault|fewer requests"),
        (Fault.STATUS, {"status": 429, "code": ""}, errors.StoreUnavailableError, "fewer requests"),
        (Fault.RESET, {}, errors.StoreUnavailableError, "connection broke"),
        (Fault.CUT, {}, errors.StoreUnavailableError, "ended too early"),
        (Fault.STALL, {}, errors.StoreTimeoutError, "no answer came in time"),
        (Fault.DELAY, {"seconds": 60.0}, errors.StoreTimeoutError, "no answer came in time"),
    ],
    ids=str,
)
def test_what_does_not_pass_ends_at_the_deadline(
    hasty: Bucket,
    proxy: FaultProxy,
    direct: Bucket,
    fault: Fault,
    details: dict[str, object],
    error: type[errors.VolfsError],
    said: str,
) -> None:
    direct.put("stuck", os.urandom(10_000))
    proxy.add(fault, method="GET", **details)
    began = time.monotonic()
    with pytest.raises(error, match=said):
        hasty.get("stuck")
    assert time.monotonic() - began < 2 * DEADLINE


def test_a_region_that_was_only_assumed_is_corrected(
    seaweed: SeaweedServer, proxy: FaultProxy, name: str, direct: Bucket
) -> None:
    direct.put("elsewhere", b"x")
    proxy.clear()
    moved = {"status": 400, "code": "AuthorizationHeaderMalformed"}
    proxy.add(Fault.STATUS, count=1, headers=(("x-amz-bucket-region", "eu-north-1"),), **moved)
    options = BucketOptions(secret=secret_of(seaweed), environ={}, deadline=DEADLINE)
    with closing(open_bucket(BucketAddress("s3", name, endpoint=proxy.endpoint), options)) as it:
        assert bytes(it.get("elsewhere")[1]) == b"x"
        assert bytes(it.get("elsewhere")[1]) == b"x"
    assert proxy.count() == 3
    assert place_bucket(BucketAddress("s3", "data"), None, "eu-north-1") == (
        "https://data.s3.eu-north-1.amazonaws.com",
        "",
    )


def test_who_may_not_list_is_told_of_a_missing_object(bucket: Bucket, proxy: FaultProxy) -> None:
    proxy.add(Fault.STATUS, method="GET", key="list-type", status=403, code="AccessDenied")
    with pytest.raises(errors.ObjectNotFoundError):
        bucket.head("none")


def test_a_host_that_nothing_listens_at(name: str) -> None:
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        with pytest.raises(errors.StoreUnavailableError, match="nothing answers there"):
            _open_at(f"http://127.0.0.1:{port}").head("x")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "a" * 70, "exa_mple.invalid"])
def test_a_host_that_has_no_address(host: str) -> None:
    with pytest.raises(errors.StoreUnavailableError, match="name is not known"):
        _open_at(f"http://{host}").head("x")


def test_a_host_that_speaks_no_tls(proxy: FaultProxy, seaweed: SeaweedServer) -> None:
    for plain in (proxy.endpoint, seaweed.endpoint):
        with pytest.raises(errors.StoreError, match="no TLS at this port; use endpoint=http:"):
            _open_at(plain.replace("http:", "https:"), deadline=1.0).head("x")


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    """A host of one's own is believed once its certificate is in AWS_CA_BUNDLE."""
    certificate = make_certificate(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _NotFound)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        endpoint = f"https://127.0.0.1:{server.server_address[1]}"
        with pytest.raises(errors.StoreError, match="certificate is not trusted"):
            _open_at(endpoint, deadline=1.0).get("x")
        with pytest.raises(errors.StoreError, match=r"speaks TLS.*use endpoint=https:"):
            _open_at(endpoint.replace("https:", "http:"), deadline=1.0).get("x")
        with pytest.raises(errors.ObjectNotFoundError):
            _open_at(endpoint, AWS_CA_BUNDLE=str(certificate)).get("x")
        with pytest.raises(errors.InvalidError, match="AWS_CA_BUNDLE"):
            _open_at(endpoint, AWS_CA_BUNDLE=str(tmp_path / "none"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _NotFound(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def make_certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody but its key has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(host, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(encoding))
    return path


def test_an_upload_may_be_slow_as_long_as_it_moves(
    bucket: Bucket, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit is for each piece, and not for all of them together."""
    monkeypatch.setattr(wire, "CONNECT_TIMEOUT", 0.5)
    data = os.urandom(16 * MIB)
    proxy.add(Fault.SLOW, method="PUT", count=1, seconds=1.5)
    bucket.put("slow", data)
    assert proxy.count("PUT") == 1
    assert bytes(bucket.get("slow")[1]) == data


def _open_at(endpoint: str, deadline: float = DEADLINE, **environ: str) -> Bucket:
    address = BucketAddress("s3", "bucket", endpoint=endpoint, region="us-east-1")
    secret = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"}
    return open_bucket(address, BucketOptions(secret=secret, environ=environ, deadline=deadline))


# --- what a server that checks says -----------------------------------------------


def test_wrong_keys_and_missing_rights(seaweed: SeaweedServer, name: str, direct: Bucket) -> None:
    direct.put("there", b"x")

    def open_as(access: str, secret: str, bucket: str = name) -> Bucket:
        address = BucketAddress("s3", bucket, endpoint=seaweed.endpoint, region="us-east-1")
        keys = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret} if access else {}
        return open_bucket(address, BucketOptions(secret=keys, environ={}, deadline=DEADLINE))

    for ask in (lambda b: b.head("there"), lambda b: b.get("there"), lambda b: b.list_page("")):
        with pytest.raises(errors.StoreDeniedError, match="its secret is wrong"):
            ask(open_as(seaweed.access_key, "wrong"))
        with pytest.raises(errors.StoreDeniedError, match="key is not known"):
            ask(open_as("NOBODY", "wrong"))
        with pytest.raises(errors.StoreDeniedError, match="no credentials were found"):
            ask(open_as("", ""))
    reader = open_as(seaweed.reader_key, seaweed.reader_secret)
    assert bytes(reader.get("there")[1]) == b"x"
    with pytest.raises(errors.StoreDeniedError, match="may not do that"):
        reader.put("there", b"y")
    with pytest.raises(errors.BucketNotFoundError):
        open_as(seaweed.access_key, seaweed.secret_key, "no-such-bucket").head("x")
    with pytest.raises(errors.BucketNotFoundError):
        open_as(seaweed.access_key, seaweed.secret_key, "no-such-bucket").put("x", b"")
