"""store create, store probe: stores in buckets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from volfs.model.text import show
from volfs_cli.helping import InOrder
from volfs_cli.output import json_option, plural, print_json
from volfs_cli.terminal import answer, say, take_logs

if TYPE_CHECKING:
    from volfs.buckets.access import Bucket
    from volfs.store.distributed.place.probe import ProbeReport
    from volfs.store.distributed.place.store_facts import StoreFacts


@click.group("store", cls=InOrder, no_args_is_help=True)
def group() -> None:
    """Stores: make one, or find out whether a bucket can be one."""


@group.command("create", no_args_is_help=True)
@click.argument("url")
@json_option
def create(url: str, as_json: bool) -> None:
    """Make a store at URL and say its id.

    URL is s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://ACCOUNT/CONTAINER/PREFIX, with
    ?endpoint=URL for a service that is elsewhere; or a directory. The bucket is probed first.
    """
    from volfs.store.address import find_local_path

    take_logs()
    local = find_local_path(url)
    if local is not None:
        _create_directory(str(local), as_json)
        return
    from volfs.store.distributed.creation import create_store

    with _opened(url) as bucket:
        facts = create_store(bucket, url)
    if as_json:
        print_json({"address": url, "store": facts.store, "service": facts.service})
    else:
        say(f"made the store {facts.store}")


def _create_directory(path: str, as_json: bool) -> None:
    from volfs.errors import AlreadyExistsError, NotAStoreError
    from volfs.store.registry import open_store

    try:
        open_store(path).close()
    except NotAStoreError:
        open_store(path, create=True).close()
    else:
        raise AlreadyExistsError(f"{path}: there is a store already")
    if as_json:
        print_json({"address": path, "store": None, "service": "file"})
    else:
        say(f"made a store in {path}")


@group.command("probe", no_args_is_help=True)
@click.argument("url")
@json_option
def probe(url: str, as_json: bool) -> None:
    """Find out whether a bucket can be a store. Some objects are made, and deleted.

    The exit status is 0 if it can. If a store is there already, its id is told.
    """
    from volfs.store.distributed.place.probe import probe_bucket, unfit
    from volfs.store.distributed.place.store_facts import find_facts

    take_logs()
    with _opened(url) as bucket:
        facts = find_facts(bucket, url)
        report = probe_bucket(bucket)
        _print_report(url, facts, report, as_json=as_json)
        if report.problem:
            raise unfit(bucket, report.problem)


def _print_report(
    url: str, facts: StoreFacts | None, report: ProbeReport, *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "address": url,
                "store": facts and facts.store,
                "suitable": not report.problem,
                "checks": [finding._asdict() for finding in report.findings],
                "requests": report.requests,
                "seconds": round(report.seconds, 3),
            }
        )
        return
    for finding in report.findings:
        answer(f"{'no' if finding.problem else 'yes':4} {finding.check}")
    answer(f"{plural(report.requests, 'request')} in {report.seconds:.1f} s")
    if facts is not None:
        answer(f"the store {facts.store} is there")


@contextmanager
def _opened(url: str) -> Iterator[Bucket]:
    from volfs.errors import InvalidError
    from volfs.store.address import find_local_path
    from volfs.store.distributed.place.bucket_opening import open_store_bucket

    if find_local_path(url) is not None:
        raise InvalidError(f"{show(url)}: a directory; only buckets are probed")
    bucket = open_store_bucket(url)
    try:
        yield bucket
    finally:
        bucket.close()
