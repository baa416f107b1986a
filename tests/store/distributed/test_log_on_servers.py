"""The log on real servers: racing writers, and a proxy that loses, delays and doubles requests."""

from __future__ import annotations

import pytest

from tests.harness.bucket_servers import create_s3_bucket, open_s3_bucket
from tests.harness.fault_proxy import Fault, proxied
from tests.harness.servers import SeaweedServer
from tests.store.contract import run_threads
from volfs.buckets.access import Bucket
from volfs.model.logs.line import NO_LINE, digest_line
from volfs.store.distributed.log.log import NO_NUMBER, Log
from volfs.store.distributed.place.object_keys import catalog_log

PLACE = catalog_log()
WRITERS, EACH = 4, 5


def append_all(bucket: Bucket, writer: int) -> dict[bytes, int]:
    """Append some lines, each until it is there; their numbers."""
    log, number, line, done = Log(bucket, PLACE), NO_NUMBER, None, dict[bytes, int]()
    while len(done) < EACH:
        prev = NO_LINE if line is None else digest_line(line)
        mine = log.make_line(prev, 0, f"{writer} {len(done)}".encode(), b"records" * writer)
        there = log.append(number + 1, mine)
        if there.nonce == mine.nonce:
            number, line = number + 1, mine
            done[mine.body] = number
        else:
            digest = None if line is None else digest_line(line)
            tail = list(log.read_after(number, digest))
            number, line = tail[-1]
    return done


def check(bucket: Bucket, told: dict[bytes, int]) -> None:
    lines = list(Log(bucket, PLACE).read_to_end(NO_NUMBER))
    assert [number for number, _ in lines] == list(range(WRITERS * EACH))
    assert {line.body: number for number, line in lines} == told


@pytest.mark.parametrize("server", ["seaweed_bucket", "azure_bucket", "gcs_bucket"])
def test_racing_writers(server: str, request: pytest.FixtureRequest) -> None:
    bucket: Bucket = request.getfixturevalue(server)
    told: dict[bytes, int] = {}
    run_threads(WRITERS, lambda writer: told.update(append_all(bucket, writer)))
    check(bucket, told)


def test_writers_behind_a_bad_network(seaweed: SeaweedServer) -> None:
    name = create_s3_bucket(seaweed)
    told: dict[bytes, int] = {}
    with proxied(seaweed.endpoint, seed=1) as proxy:
        for fault in (Fault.LOSE, Fault.TWICE, Fault.DROP, Fault.RESET):
            proxy.add(fault, method="PUT|GET", chance=0.1)
        proxy.add(Fault.STATUS, method="PUT", chance=0.1, status=409, code="Conflict")
        buckets = [open_s3_bucket(seaweed, name, endpoint=proxy.endpoint) for _ in range(WRITERS)]
        run_threads(WRITERS, lambda at: told.update(append_all(buckets[at], at)))
        assert {seen.fault for seen in proxy.seen} >= {Fault.LOSE, Fault.TWICE, Fault.DROP}
        for bucket in buckets:
            bucket.close()
    direct = open_s3_bucket(seaweed, name)
    check(direct, told)
    direct.close()
