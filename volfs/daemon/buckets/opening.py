"""Opening the bucket of a plan, and checking that it answers. Without FUSE."""

from __future__ import annotations

import os

from volfs.buckets.access import Bucket
from volfs.buckets.opening import open_bucket
from volfs.buckets.options import BucketOptions
from volfs.daemon.mount_options import BucketPlan
from volfs.errors import InvalidError, ObjectNotFoundError


def open_planned(plan: BucketPlan) -> Bucket:
    """Open the bucket of a plan. InvalidError for an impossible address."""
    environ = dict(os.environ) if plan.environ is None else plan.environ
    return open_bucket(
        plan.address,
        BucketOptions(
            secret=plan.secret,
            environ=environ,
            profile=plan.profile,
            role_arn=plan.role_arn,
            unsigned=plan.unsigned,
            requester_pays=plan.requester_pays,
            deadline=plan.deadline,
        ),
    )


def check_bucket(bucket: Bucket) -> None:
    """Ask a bucket for what every mount needs. InvalidError if the address is that of an
    object."""
    page = bucket.list_page("", limit=1)
    if page.objects or page.prefixes or not bucket.prefix:
        return
    name = bucket.prefix.rstrip("/")
    outer = Bucket(bucket.door)
    try:
        outer.head(name)
    except ObjectNotFoundError:
        return
    raise InvalidError(
        f"{bucket.door.describe()}/{name}: an object, and no folder; mount the folder that it is in"
    )
