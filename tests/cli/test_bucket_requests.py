"""How many requests commands ask of a bucket, all of them, on a machine that has used it before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_bucket_volumes import Machine
from tests.harness.bucket_servers import create_s3_bucket, secret_of
from tests.harness.fault_proxy import proxied
from tests.harness.servers import SeaweedServer

pytestmark = pytest.mark.fuse

MOST = {"mount": 6, "commit": 4, "reload": 7, "umount": 2, "log": 6, "ls": 6, "fork": 12}
"""Of a commit, three are what the command itself asks. The reload comes after a commit: it gives a
version up, so it writes a lease."""


def test_a_machine_asks_little_for_what_it_knows(seaweed: SeaweedServer, tmp_path: Path) -> None:
    bucket = create_s3_bucket(seaweed)
    with proxied(seaweed.endpoint) as proxy:
        url = f"s3://{bucket}/counted/?endpoint={proxy.endpoint}&region=us-east-1"
        machine = Machine(tmp_path / "a", url, secret_of(seaweed))

        def count(*command: object) -> int:
            proxy.clear()
            machine(*command)
            return proxy.count()

        found: dict[str, int] = {}
        place = machine.mountpoint
        try:
            machine("create", "data")
            machine("mount", "data", place)
            (place / "file").write_text("hello")
            machine("commit", place)
            machine("umount", place)
            found["mount"] = count("mount", "data", place)
            assert (place / "file").read_text() == "hello"
            (place / "file").write_text("again")
            found["commit"] = count("commit", place)
            assert proxy.count("PUT") == 1
            found["reload"] = count("reload", place)
            found["umount"] = count("umount", place)
            found["log"] = count("log", "data")
            found["ls"] = count("ls", "data")
            found["fork"] = count("fork", "data", "other")
        finally:
            machine.close()
    assert {verb: asked for verb, asked in found.items() if asked > MOST[verb]} == {}
