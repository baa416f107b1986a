"""Buckets of servers on loopback in functions' containers."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import volfs as modal
from tests.api.conftest import ROOT
from tests.app import bucket_shop
from tests.harness.bucket_servers import (
    azure_bucket,
    azurite,
    create_s3_bucket,
    environment_of,
    gcs,
    gcs_bucket,
    open_s3_bucket,
    seaweed,
)
from tests.harness.fault_proxy import Fault, proxied
from tests.harness.gcs_fake import GcsFake
from tests.harness.servers import AzuriteServer, SeaweedServer
from tests.harness.waits import drop_waits
from volfs.buckets.access import Bucket
from volfs.control.mount_client import list_mounts
from volfs.daemon.buckets.leftovers import list_left, upload_left
from volfs.exception import InvalidError, NotFoundError

__all__ = ["azure_bucket", "azurite", "gcs", "gcs_bucket", "seaweed"]

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.filterwarnings("ignore:Modal has no:volfs.errors.DeprecatedWarning"),
]
Function = Callable[..., Any]


class Data:
    """A new bucket, and a secret that leads to it."""

    def __init__(self, server: SeaweedServer) -> None:
        self.server = server
        self.name = create_s3_bucket(server)
        self.bucket: Bucket = open_s3_bucket(server, self.name)
        self.secret = modal.Secret.from_dict(environment_of(server))

    def mount(self, **options: Any) -> modal.CloudBucketMount:
        return modal.CloudBucketMount(self.name, **{"secret": self.secret, **options})

    def text(self, key: str) -> bytes:
        return bytes(self.bucket.get(key)[1])


@pytest.fixture
def data(place: Path, seaweed: SeaweedServer) -> Iterator[Data]:
    data = Data(seaweed)
    yield data
    data.bucket.close()


def make(app: modal.App, function: Function, name: str, **options: Any) -> Any:
    return app.function(name=name, **options)(function)


def test_beside_volumes_and_within_each_other(data: Data) -> None:
    """Warm containers, the same bucket in two functions and at two places, one in the other."""
    data.bucket.put("in/a", b"one")
    data.bucket.put("vol/.keep", b"")
    volume = modal.Volume.from_name("beside", create_if_missing=True)
    app = modal.App("beside", volumes={"/all": data.mount()})
    mounts = {"/data": volume, "/data/in": data.mount(key_prefix="in/"), "/all/vol": volume}
    with pytest.raises(InvalidError, match="same Volume"):
        app.function(volumes=mounts)(bucket_shop.read)
    other = modal.Volume.from_name("within", create_if_missing=True)
    mounts["/all/vol"] = other
    read = make(app, bucket_shop.read, "read", volumes=mounts, max_containers=1)
    write = make(app, bucket_shop.write, "write", volumes=mounts, max_containers=1)
    with app.run():
        assert read.remote("/data/in/a") == read.remote("/all/in/a") == "one"
        pids = {write.remote(f"{place}/{place.count('/')}", place) for place in mounts}
        assert len(pids) == 1
        assert data.text("in/2") == b"/data/in"  # in the bucket when the call returns
        data.bucket.put("in/new", b"new")
        assert read.remote("/data/in/new") == "new"
        assert read.remote("/all/in/2") == "/data/in"
        assert write.remote("/all/deep/er/f", "f") in pids
    assert {entry.path for entry in volume.iterdir("/")} == {"1", "in"}
    assert [entry.path for entry in other.iterdir("/")] == ["2"]
    keys = [info.key for info in data.bucket.list_page("", delimiter=False).objects]
    assert [key for key in keys if not key.endswith("/")] == [
        "deep/er/f",
        "in/2",
        "in/a",
        "in/new",
        "vol/.keep",
    ]
    with pytest.raises(InvalidError, match="more than one is to be mounted there"):
        app.function(volumes={"/b": volume}, cloud_bucket_mounts={"/b/": data.mount()})


def test_the_older_arguments_on_a_class(data: Data) -> None:
    """Read-only unless told, batched calls, and nothing but the environment with the keys."""
    for name in "abc":
        data.bucket.put(f"in/{name}", name.encode())
    app = modal.App("older")
    older = modal.CloudBucketMount.from_s3_bucket(data.name, key_prefix="in/")

    @app.cls(cloud_bucket_mounts={"/older": older})
    class Reader:
        @modal.enter()
        def begin(self) -> None:
            self.names = sorted(os.listdir("/older"))

        @modal.batched(max_batch_size=4, wait_ms=200)
        def read_all(self, names: list[str]) -> list[str]:
            return [Path("/older", name).read_text() for name in names]

        @modal.method()
        def list_names(self) -> list[str]:
            return self.names

        @modal.method()
        def write(self) -> None:
            Path("/older/x").write_text("x")

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment_of(data.server).items():
            patch.setenv(name, value)
        with app.run():
            assert list(Reader().read_all.map("abc")) == ["a", "b", "c"]
            assert Reader().list_names.remote() == ["a", "b", "c"]
            with pytest.raises(OSError, match="Read-only file system"):
                Reader().write.remote()


@pytest.mark.noisy("not all that was written is uploaded")
def test_what_cannot_be_mounted_fails_the_call(data: Data) -> None:
    app = modal.App("wrong")
    modal.Secret.objects.create("another", {"A": "b"}, allow_existing=True)
    numbers = itertools.count()

    def call(bucket: modal.CloudBucketMount) -> Any:
        name = f"write-{next(numbers)}"
        return make(app, bucket_shop.write, name, volumes={"/s3": bucket}).remote("/s3/f", "f")

    def secret(**changed: str) -> modal.Secret:
        return modal.Secret.from_dict({**environment_of(data.server), **changed})

    reader = {"AWS_ACCESS_KEY_ID": data.server.reader_key}
    reader["AWS_SECRET_ACCESS_KEY"] = data.server.reader_secret
    with app.run():
        with pytest.raises(NotFoundError, match="LIST: there is no such bucket"):
            call(modal.CloudBucketMount("no-such-bucket", secret=data.secret))
        with pytest.raises(modal.exception.PermissionDeniedError, match=data.name):
            call(data.mount(secret=secret(AWS_SECRET_ACCESS_KEY="wrong-one")))
        with pytest.raises(NotFoundError, match="volfs secret create no-such-secret"):
            call(data.mount(secret=modal.Secret.from_name("no-such-secret")))
        with pytest.raises(ValueError, match="must end in a '/'"):
            call(data.mount(key_prefix="in"))
        with pytest.raises(InvalidError, match="only one of AWS_ACCESS_KEY_ID"):
            call(data.mount(secret=secret(AWS_SECRET_ACCESS_KEY="")))
        with pytest.raises(modal.exception.ServiceError, match=r"127\.0\.0\.1:9"):
            call(data.mount(secret=secret(AWS_ENDPOINT_URL="http://127.0.0.1:9")))
        with pytest.raises(PermissionError):  # the reader's, who may not write
            call(data.mount(secret=secret(**reader)))
        assert isinstance(call(data.mount()), int)


@pytest.mark.noisy("not uploaded", "is kept", "flush ", "not all that was written is uploaded")
def test_what_is_not_uploaded_at_the_end_is_told(
    data: Data, caplog: pytest.LogCaptureFixture
) -> None:
    app = modal.App("ends")
    with proxied(data.server.endpoint, seed=3) as proxy:
        through = data.mount(bucket_endpoint_url=proxy.endpoint)
        keep = make(app, bucket_shop.keep_open, "keep", volumes={"/s3": through})
        write = make(app, bucket_shop.write, "write", volumes={"/s3": through})
        with app.run():
            keep.remote("/s3/open", "written, never closed")
        assert data.text("open") == b"written, never closed"
        proxy.add(Fault.STATUS, method="PUT", key="refused", status=403, code="AccessDenied")
        with app.run(), pytest.raises(PermissionError):
            write.remote("/s3/refused", "kept")
        (left,) = [one for one in list_left() if data.name in one.name]
        assert f"s3://{data.name}/" in caplog.text
        assert "`volfs overlays` lists it" in caplog.text
        proxy.clear()
        report = upload_left(left.name, environment_of(data.server), replaces=True)
        assert report == (1, 4, [])
    assert data.text("refused") == b"kept"


@pytest.mark.noisy("its daemon died")
def test_a_retry_sees_what_was_closed(data: Data) -> None:
    """After the death of a container, and after that of the daemon of a warm one."""
    app = modal.App("dies")
    options: dict[str, Any] = {"volumes": {"/s3": data.mount()}, "max_containers": 1}
    options["retries"] = modal.Retries(1, initial_delay=0.0)
    die = make(app, bucket_shop.die_once, "die", **options)
    with app.run():
        assert die.remote("/s3/progress") == "half"
        source = f"s3://{data.name}/"
        (mount,) = [one for one in list_mounts() if one.mount.source.startswith(source)]
        os.kill(mount.status().pid, signal.SIGKILL)
        assert die.remote("/s3/progress") == "half"


def test_google_and_azure(
    gcs: GcsFake, gcs_bucket: Bucket, azurite: AzuriteServer, azure_bucket: Bucket, place: Path
) -> None:
    """Named by their older constructors, and told where they are by their secrets alone."""
    account = {"GOOGLE_APPLICATION_CREDENTIALS_JSON": gcs.make_account()}
    pair = {"GOOGLE_ACCESS_KEY_ID": gcs.access_key, "GOOGLE_ACCESS_KEY_SECRET": gcs.secret_key}
    there = {"STORAGE_EMULATOR_HOST": gcs.endpoint}
    text = f"AccountName={azurite.account};AccountKey={azurite.key};BlobEndpoint={azurite.endpoint}"
    google = gcs_bucket.door.describe().removeprefix("gs://")
    container = azure_bucket.door.describe().rpartition("/")[2]
    older = modal.CloudBucketMount
    secret = modal.Secret.from_dict
    mounts = {
        "/g1": older.from_gcs_bucket(google, secret=secret(account | there), read_only=False),
        "/g2": modal.CloudBucketMount(google, gcs.endpoint, secret=secret(pair)),
        "/az": older.from_azure_blob_storage(
            azurite.account,
            container,
            key_prefix="p/",
            secret=secret({"AZURE_STORAGE_CONNECTION_STRING": text}),
            read_only=False,
        ),
    }
    app = modal.App("clouds")
    write = make(app, bucket_shop.write, "write", volumes=mounts)
    read = make(app, bucket_shop.read, "read", volumes=mounts)
    with app.run():
        for path in mounts:
            write.remote(f"{path}/of{path}", path)
        assert read.remote("/g1/of/g2") == "/g2"
    assert azure_bucket.get("p/of/az")[1] == b"/az"


PROGRAM = """
import json, os, sys
from pathlib import Path
import volfs as modal

app = modal.App("program")
bucket = modal.CloudBucketMount(sys.argv[-1], secret=modal.Secret.from_name("keys"))
inner = app.function(volumes={"/s3": bucket})(len)

@app.function(volumes={"/s3": bucket})
def look():
    seen = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen.append((process / "cmdline").read_bytes())
        except OSError:
            pass
    Path("/s3/said").write_text("by a program")
    return b"seaweed-secret-key" in b"".join(seen)

@app.local_entrypoint()
def main(name):
    assert not look.remote()
    print(repr(bucket), repr(look))
"""


def test_a_program_in_an_environment(data: Data, place: Path) -> None:
    """The secret is that of the environment; its values are in no argument and no log."""
    volfs = [sys.executable, "-m", "volfs"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*volfs, *arguments], env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + drop_waits(done.stderr)

    (place / "program.py").write_text(PROGRAM)
    run("environment", "create", "lab")
    (place / "keys.json").write_text(json.dumps(environment_of(data.server)))
    run("secret", "create", "-e", "lab", "keys", "--from-json", str(place / "keys.json"))
    said = run("run", "-e", "lab", str(place / "program.py"), "--name", data.name)
    assert data.text("said") == b"by a program"
    logs = [path.read_text() for path in (place / "state" / "logs").glob(f"*{data.name}*")]
    assert logs
    assert data.server.secret_key not in said + "".join(logs)
