"""A bucket behind a network that fails: what was acknowledged is there, and nothing is wrong."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.harness.bucket_servers import create_s3_bucket, open_s3_bucket, secret_of
from tests.harness.fault_proxy import Fault, FaultProxy, proxied
from tests.harness.servers import SeaweedServer
from volfs import errors
from volfs.buckets import wire
from volfs.buckets.access import Bucket, iter_objects
from volfs.buckets.address import BucketAddress
from volfs.buckets.doors.doors import place_bucket
from volfs.buckets.opening import open_bucket
from volfs.buckets.options import BucketOptions

MIB = 1024 * 1024
DEADLINE = 3.0


@pytest.fixture(scope="module")
def proxy(seaweed: SeaweedServer) -> Iterator[FaultProxy]:
    with proxied(seaweed.endpoint, seed=7) as found:
        yield found


@pytest.fixture(scope="module")
def name(seaweed: SeaweedServer) -> str:
    return create_s3_bucket(seaweed)


@pytest.fixture
def bucket(seaweed: SeaweedServer, proxy: FaultProxy, name: str) -> Iterator[Bucket]:
    """A bucket whose requests go by way of the proxy."""
    proxy.clear()
    with closing(open_s3_bucket(seaweed, name, endpoint=proxy.endpoint)) as it:
        yield it
    proxy.clear()


@pytest.fixture
def hasty(seaweed: SeaweedServer, proxy: FaultProxy, name: str) -> Iterator[Bucket]:
    """The same, with a short deadline, for what is to fail."""
    proxy.clear()
    with closing(open_s3_bucket(seaweed, name, endpoint=proxy.endpoint, deadline=DEADLINE)) as it:
        yield it
    proxy.clear()


@pytest.fixture
def direct(seaweed: SeaweedServer, name: str) -> Iterator[Bucket]:
    with closing(open_s3_bucket(seaweed, name)) as it:
        yield it


# --- what is repeated -----------------------------------------------------------

PASSING = [
    (Fault.DROP, {}),
    (Fault.LOSE, {}),
    (Fault.RESET, {}),
    (Fault.CUT, {}),
    (Fault.TWICE, {}),
    (Fault.STATUS, {"status": 500}),
    (Fault.STATUS, {"status": 502, "code": ""}),
    (Fault.STATUS, {"status": 503, "code": "SlowDown"}),
    (Fault.STATUS, {"status": 429, "code": "TooManyRequests"}),
    (Fault.STATUS, {"status": 409, "code": "OperationAborted"}),
    (Fault.STATUS, {"status": 400, "code": "RequestTimeout"}),
    (Fault.STATUS, {"status": 200, "code": "InternalError"}),
]


@pytest.mark.parametrize(("fault", "details"), PASSING[:-1], ids=str)
def test_what_passes_is_repeated(
    bucket: Bucket, proxy: FaultProxy, fault: Fault, details: dict[str, object]
) -> None:
    data = os.urandom(50_000)
    passing = f"passing {fault.name} {details.get('code')} {details.get('status')}"
    proxy.add(fault, method="PUT", count=2, **details)
    proxy.add(fault, method="GET", key="passing", count=2, **details)
    proxy.add(fault, method="HEAD", count=1, **details)
    proxy.add(fault, method="DELETE", count=1, **details)
    proxy.add(fault, method="GET", key="list-type", count=1, **details)
    bucket.put(passing, data)
    assert bytes(bucket.get_range(passing, 1000, 40_000)) == data[1000:41_000]
    assert bytes(bucket.get(passing)[1]) == data
    assert bucket.head(passing).size == 50_000
    assert [info.key for info in iter_objects(bucket, passing)] == [passing]
    bucket.delete(passing)
    assert list(iter_objects(bucket, passing)) == []


def test_a_late_error_in_a_good_answer(bucket: Bucket, proxy: FaultProxy) -> None:
    bucket.put("early", b"data")
    proxy.add(Fault.STATUS, method="PUT", key="copied", count=1, status=200)
    bucket.copy("early", "copied")
    assert bytes(bucket.get("copied")[1]) == b"data"
    with bucket.open_multipart("joined") as upload:
        upload.put_part(1, b"part")
        proxy.add(Fault.STATUS, method="POST", key="uploadId", count=1, status=200)
        upload.complete()
    assert bytes(bucket.get("joined")[1]) == b"part"


def test_bytes_that_change_on_their_way_in(bucket: Bucket, proxy: FaultProxy) -> None:
    data = os.urandom(10_000)
    proxy.add(Fault.FLIP_SENT, method="PUT", count=2)
    bucket.put("flipped", data)
    assert bytes(bucket.get("flipped")[1]) == data


def test_bytes_that_change_on_their_way_out(bucket: Bucket, proxy: FaultProxy) -> None:
    data = os.urandom(10_000)
    bucket.put("flipped", data)
    proxy.add(Fault.FLIP, method="GET", count=2)
    assert bytes(bucket.get("flipped")[1]) == data


# --- what an unclear answer leaves ------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.TWICE, Fault.RESET], ids=str)
def test_a_creation_whose_answer_is_lost(bucket: Bucket, proxy: FaultProxy, fault: Fault) -> None:
    key = f"created {fault.name}"
    proxy.add(fault, method="PUT", count=2)
    bucket.put(key, b"mine", create=True)
    assert bytes(bucket.get(key)[1]) == b"mine"
    proxy.add(fault, method="PUT", count=2)
    with pytest.raises(errors.ObjectExistsError):
        bucket.put(key, b"mine", create=True)


def test_a_creation_that_nobody_can_look_at_for_a_while(bucket: Bucket, proxy: FaultProxy) -> None:
    proxy.add(Fault.LOSE, method="PUT", count=1)
    proxy.add(Fault.STATUS, method="HEAD", count=3, status=500)
    bucket.put("seen late", b"mine", create=True)
    proxy.add(Fault.TWICE, method="PUT", count=1)
    proxy.add(Fault.DROP, method="HEAD", count=3)
    bucket.put("twice, seen late", b"mine", create=True)
    proxy.add(Fault.LOSE, method="PUT", count=1)
    proxy.add(Fault.STATUS, method="HEAD|GET", status=403, code="AccessDenied")
    with pytest.raises(errors.StoreUncertainError):
        bucket.put("never seen", b"mine", create=True)
    proxy.add(Fault.DROP, method="PUT", count=1)
    bucket.put("never seen, but sent", b"mine", create=True)


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.DROP, Fault.TWICE], ids=str)
def test_a_replacement_whose_answer_is_lost(
    bucket: Bucket, proxy: FaultProxy, fault: Fault
) -> None:
    first = bucket.put("replaced", b"first")
    proxy.add(fault, method="PUT", count=2)
    second = bucket.put("replaced", b"second", etag=first.etag)
    assert second.etag == bucket.head("replaced").etag
    proxy.add(fault, method="PUT", count=2)
    with pytest.raises(errors.ObjectChangedError):
        bucket.put("replaced", b"third", etag=first.etag)
    assert bytes(bucket.get("replaced")[1]) == b"second"


def test_a_completion_whose_answer_is_lost(bucket: Bucket, proxy: FaultProxy) -> None:
    with bucket.open_multipart("completed") as upload:
        upload.put_part(1, b"x" * 5 * MIB)
        upload.put_part(2, b"end")
        proxy.add(Fault.LOSE, method="POST", key="uploadId", count=2)
        info = upload.complete()
    assert info.size == 5 * MIB + 3
    assert bucket.list_leftovers() == []


def test_what_nobody_can_know(hasty: Bucket, proxy: FaultProxy, direct: Bucket) -> None:
    proxy.add(Fault.LOSE, method="PUT")
    proxy.add(Fault.DROP, method="HEAD")
    with pytest.raises(errors.StoreUncertainError, match="not known whether"):
        hasty.put("uncertain", b"x", create=True)
    assert bytes(direct.get("uncertain")[1]) == b"x"


def test_one_winner_through_a_bad_network(bucket: Bucket, proxy: FaultProxy) -> None:
    """Six who create one key, four times, with half of all answers lost."""
    for key in ("w1", "w2", "w3", "w4"):
        proxy.add(Fault.LOSE, method="PUT", key=key, chance=0.5)
        won: list[int] = []

        def create(number: int, key: str = key, won: list[int] = won) -> None:
            try:
                bucket.put(key, str(number).encode(), create=True)
                won.append(number)
            except errors.ObjectExistsError:
                pass

        threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [str(number).encode() for number in won] == [bytes(bucket.get(key)[1])]


# --- every line of the table that a network or a service can bring about ----------

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


def test_a_host_that_has_no_address() -> None:
    with pytest.raises(errors.StoreUnavailableError, match="name is not known"):
        _open_at("http://no-such-host.invalid").head("x")


def test_a_host_that_speaks_no_tls(proxy: FaultProxy) -> None:
    with pytest.raises(errors.StoreError):
        _open_at(proxy.endpoint.replace("http:", "https:"), deadline=1.0).head("x")


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


# --- load and outage --------------------------------------------------------------


def test_a_service_that_is_away_is_not_waited_for_by_everyone(
    seaweed: SeaweedServer, proxy: FaultProxy, name: str, direct: Bucket
) -> None:
    proxy.clear()
    direct.put("away", b"x")
    with closing(open_s3_bucket(seaweed, name, endpoint=proxy.endpoint, deadline=2.0)) as bucket:
        assert bucket.unreachable_since_ns is None
        rule = proxy.add(Fault.STATUS, status=503, code="SlowDown")
        for _ in range(3):
            with pytest.raises(errors.StoreUnavailableError):
                bucket.get("away")
        asked = proxy.count()
        with pytest.raises(errors.StoreUnavailableError, match="for some time"):
            bucket.get("away")
        assert proxy.count() == asked
        since = bucket.unreachable_since_ns
        assert since is not None
        assert time.time_ns() - since < 60 * 10**9
        rule.count = 0
        _wait_until_back(bucket)
        assert bucket.unreachable_since_ns is None


def _wait_until_back(bucket: Bucket) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            assert bytes(bucket.get("away")[1]) == b"x"
        except errors.StoreUnavailableError:
            threading.Event().wait(0.2)
        else:
            return
    raise AssertionError("the bucket does not come back")


def test_a_minute_of_bad_luck_in_small(bucket: Bucket, proxy: FaultProxy, direct: Bucket) -> None:
    """Of 200 writes and reads at once, through every fault at random, all are exact."""
    for fault in (Fault.DROP, Fault.LOSE, Fault.RESET, Fault.CUT, Fault.TWICE, Fault.FLIP_SENT):
        proxy.add(fault, chance=0.03)
    proxy.add(Fault.STATUS, chance=0.05, status=503, code="SlowDown")
    proxy.add(Fault.STATUS, chance=0.03, status=500)
    wrong: list[str] = []

    def work(worker: int) -> None:
        for number in range(25):
            key, data = f"luck/{worker}/{number}", os.urandom(3000)
            bucket.put(key, data, create=number % 2 == 0)
            if bytes(bucket.get_range(key, 100, 2000)) != data[100:2100]:
                wrong.append(key)
            if bytes(direct.get(key)[1]) != data:
                wrong.append(f"stored {key}")

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(list(iter_objects(direct, "luck/"))) == 200
