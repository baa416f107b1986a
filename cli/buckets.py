"""bucket mount umount status ls: buckets as file systems, and their contents."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from volfs.model.names import MAIN
from volfs.model.text import show
from volfs_cli.columns import Column
from volfs_cli.helping import InOrder
from volfs_cli.listings import listing_options, print_listing
from volfs_cli.mounts import end_mount
from volfs_cli.options import Seconds, log_options, timeout_option
from volfs_cli.output import print_paths, show_count, show_flag, show_size, show_time
from volfs_cli.status import CHANGES, STATE
from volfs_cli.stores import env_option, store_option

if TYPE_CHECKING:
    from volfs.buckets.access import Bucket
    from volfs.buckets.objects import ObjectInfo
    from volfs.control.mount_liveness import Liveness
    from volfs.control.protocol import MountStatus
    from volfs.daemon.mount_options import BucketPlan

F = TypeVar("F", bound=Callable[..., Any])
PLAN = ("endpoint", "region", "style", "profile", "role_arn", "unsigned", "requester_pays")
"""The options that say how a bucket is opened, besides ``secret``."""


@click.group("bucket", cls=InOrder)
@store_option
@env_option
def group() -> None:
    """Buckets: mount or list s3://BUCKET/PREFIX and its like."""


def bucket_options(command: F) -> F:
    """Add the options that say how a bucket is opened."""
    for option in reversed(
        (
            click.option(
                "--endpoint",
                metavar="URL",
                help="Where the service is; default: the "
                "address, AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, else Amazon.",
            ),
            click.option("--region", metavar="NAME", help="Default: AWS_REGION."),
            click.option(
                "--style",
                type=click.Choice(("path", "host")),
                help="Whether the bucket's name is in the path or in the host.",
            ),
            click.option(
                "--secret",
                metavar="NAME",
                help="A Secret with the credentials; "
                "default: the environment and the files of AWS's tools.",
            ),
            click.option("--profile", metavar="NAME", help="A profile of AWS's files."),
            click.option("--role-arn", metavar="ARN", help="Take this role by web identity."),
            click.option("--unsigned", is_flag=True, help="Send no credentials."),
            click.option(
                "--requester-pays", is_flag=True, help="Pay for the requests, as the bucket wants."
            ),
        )
    ):
        command = option(command)
    return command


@group.command("mount", no_args_is_help=True)
@click.argument("url")
@click.argument("mountpoint", type=click.Path())
@bucket_options
@click.option("--read-only", is_flag=True, help="Writes fail with EROFS.")
@click.option(
    "--metadata-ttl",
    type=Seconds(),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long listings are reused before they are asked for again.",
)
@click.option("--foreground", is_flag=True, help="Stay; do not go to the background.")
@click.option("--allow-other", is_flag=True, help="Let other users in, as the modes allow.")
@click.option("--nonempty", is_flag=True, help="Mount over a directory that is not empty.")
@log_options
@timeout_option
@store_option
@env_option
def mount(
    url: str, mountpoint: str, metadata_ttl: float, timeout: float | None, **options: Any
) -> None:
    """Mount a bucket, or a folder of one, and return when the mount answers.

    URL is s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://ACCOUNT/CONTAINER/PREFIX.
    """
    from volfs.daemon.mount_options import MountOptions
    from volfs.errors import MountError

    plan = make_plan(url, metadata_ttl=metadata_ttl, **_take_plan(options))
    place = os.path.abspath(mountpoint)
    chosen = MountOptions("", "", place, environment=MAIN, bucket=plan, **options)
    try:
        from volfs.daemon.launch import mount as launch
    except ImportError as error:
        raise MountError(f"{url}: mounting needs pyfuse3 and libfuse3: {error}") from error
    launch(chosen, timeout)


@group.command("umount", no_args_is_help=True)
@click.argument("mountpoint", type=click.Path())
@click.option(
    "--force",
    is_flag=True,
    help="End the mount in any case. Files that were written "
    "and not closed stay, see `volfs overlays`.",
)
@timeout_option
def umount(mountpoint: str, force: bool, timeout: float | None) -> None:
    """Unmount a bucket. Files that were closed are in the bucket already."""
    place = mountpoint if "/" in mountpoint else f"./{mountpoint}"  # never a volume's name
    _look_at_bucket(place)
    end_mount(place, discard=False, force=force, timeout=timeout)


_STATUS = (
    Column("Bucket", cut="middle"),
    Column("Mountpoint", cut="middle"),
    STATE,
    Column("State"),
    CHANGES,
    Column("PID", show_count, rank=3),
    Column("Open files", show_count, rank=1),
    Column("Dirty files", show_count),
    Column("Dirty bytes", show_size),
    Column("Left files", show_count, rank=2, colour=lambda count: "red" if count else ""),
    Column("Hidden keys", show_count, rank=4),
    Column("Read-only", show_flag, rank=5),
    Column("Unreachable since", lambda time: show_time(time) if time else "-", rank=6),
)


@group.command("status")
@click.argument("mountpoint", required=False, type=click.Path())
@listing_options(*_STATUS)
def status(mountpoint: str | None, as_json: bool) -> None:
    """Show the mounts of buckets: files that are open or not uploaded yet, and keys that are no
    paths.

    `volfs status` also shows them, and those whose daemon died.
    """
    from volfs.control.mount_client import list_mounts
    from volfs.control.mount_liveness import look_at_all
    from volfs.errors import MountError

    if mountpoint is None:
        answered = [seen.status for seen in look_at_all(list_mounts())]
    else:
        seen = _look_at_bucket(mountpoint)
        answered = [seen.status]
        if seen.status is None:
            raise MountError(
                f"{mountpoint}: its daemon is {seen.state.value}; `volfs bucket umount "
                f"{mountpoint}` ends the mount"
            )
    rows = [_as_row(said) for said in answered if said is not None and said.bucket is not None]
    print_listing(_STATUS, rows, as_json=as_json)


def _look_at_bucket(mountpoint: str) -> Liveness:
    """What is known of the mount at a path. NotFoundError; MountError if it is a volume's."""
    from volfs.control.mount_client import get_mount
    from volfs.control.mount_liveness import look_at
    from volfs.errors import MountError

    seen = look_at(get_mount(mountpoint, "bucket"))
    if seen.status is not None and seen.status.bucket is None:
        raise MountError(
            f"{mountpoint}: a volume is mounted there; `volfs status` and `volfs umount` are for it"
        )
    return seen


def _as_row(said: MountStatus) -> tuple[Any, ...]:
    bucket = said.bucket
    assert bucket is not None
    since = bucket.unreachable_since_ns
    return (
        bucket.address,
        said.mountpoint,
        "unreachable" if since else "alive",
        said.pid,
        said.open_files,
        said.dirty_files,
        said.dirty_bytes,
        bucket.left_files,
        bucket.hidden_keys,
        said.read_only,
        since,
    )


_LISTING = (
    Column("Filename", cut="middle"),
    Column("Type", rank=2),
    Column("Created/Modified", lambda time: show_time(time) if time else "-", rank=1),
    Column("Size", show_size),
)


@group.command("ls", no_args_is_help=True)
@click.argument("url")
@click.option("-r", "--recursive", is_flag=True, help="All objects below it, by their keys.")
@bucket_options
@listing_options(*_LISTING)
@store_option
@env_option
def ls(url: str, recursive: bool, as_json: bool, **options: Any) -> None:
    """List a folder of a bucket, without mounting it."""
    import sys

    from volfs.daemon.buckets.opening import open_planned

    bucket = open_planned(make_plan(url, **_take_plan(options)))
    try:
        found = _iter_names(bucket, recursive=recursive)
        if not as_json and not sys.stdout.isatty():
            for name, *_ in found:
                print_paths([name.encode("utf-8", "surrogateescape")])
            return
        print_listing(_LISTING, list(found), as_json=as_json, title=f"Listing of '{show(url)}'")
    finally:
        bucket.close()


def _iter_names(
    bucket: Bucket, *, recursive: bool
) -> Iterator[tuple[str, str, int | None, int | None]]:
    """The names in a listing as the keys have them, including keys that are no paths."""
    after, is_first = None, True
    while is_first or after is not None:
        page = bucket.list_page("", delimiter=not recursive, after=after)
        for prefix in page.prefixes:
            yield prefix, "dir", None, None
        for info in page.objects:
            if info.key:
                yield _as_file(info)
        after, is_first = page.next, False


def _as_file(info: ObjectInfo) -> tuple[str, str, int | None, int | None]:
    return info.key, "file", info.mtime_ns, info.size


# --- opening a bucket ---------------------------------------------------------


def _take_plan(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options that say how a bucket is opened out of ``options``."""
    return {name: options.pop(name) for name in (*PLAN, "secret")}


def make_plan(
    url: str, *, secret: str | None = None, metadata_ttl: float = 1.0, **options: Any
) -> BucketPlan:
    """The plan for a bucket's mount. InvalidError for an address that is not possible;
    NotFoundError for the secret."""
    from volfs.buckets.address import check_bucket_address, parse_bucket_address
    from volfs.daemon.mount_options import BucketPlan
    from volfs_cli.secret_values import read_secrets

    address = parse_bucket_address(url)
    said = {key: options.pop(key, None) for key in ("endpoint", "region", "style")}
    _check_scheme(address.scheme, said)
    address = check_bucket_address(address._replace(**{k: v for k, v in said.items() if v}))
    values = read_secrets([secret]) if secret else None
    return BucketPlan(address.text, secret=values, metadata_ttl=metadata_ttl, **options)


def _check_scheme(scheme: str, said: dict[str, Any]) -> None:
    from volfs.buckets.address import OPTIONS

    for key, value in said.items():
        if value and key not in OPTIONS[scheme]:
            raise click.UsageError(f"--{key} is not for {scheme}://")
