"""``volfs.CloudBucketMount``: a bucket in ``volumes=``, in Modal's shape."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, fields
from typing import ClassVar, Self

from volfs.api.bucket_plans import (
    GOOGLE,
    BucketRequest,
    BucketType,
    UsualEndpoint,
    make_bucket_plan,
    tell_type,
)
from volfs.api.deprecated import warn_of
from volfs.api.mount_rules import VOLUME
from volfs.api.secret import Secret, read_environment
from volfs.buckets.address import hide_keys
from volfs.daemon.mount_options import BucketPlan
from volfs.errors import InvalidError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CloudBucketMount:
    """A bucket, or what is below a prefix in it, to be mounted in containers.

    Any values are taken; they are looked at when a container is about to start.
    ``secret`` has the credentials. Without one they are looked for where AWS's, Google's and
    Azure's own tools look, and where there are none the bucket is public.
    """

    mounts_as: ClassVar[str] = VOLUME

    bucket_name: str
    bucket_endpoint_url: str | None = None
    key_prefix: str | None = None
    secret: Secret | None = None
    oidc_auth_role_arn: str | None = None
    read_only: bool = False
    requester_pays: bool = False
    force_path_style: bool = False

    def __repr__(self) -> str:
        """All fields, without what may be a password or a key in the name or the endpoint."""
        shown = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("bucket_name", "bucket_endpoint_url"):
            if isinstance(shown[name], str):
                shown[name] = hide_keys(shown[name])
        arguments = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        return f"{type(self).__qualname__}({arguments})"

    @property
    def bucket_type(self) -> BucketType:
        """What the endpoint's host says; S3 where that says nothing."""
        told = tell_type(self.bucket_endpoint_url)
        if told is None and self.bucket_endpoint_url is not None:
            shown = hide_keys(self.bucket_endpoint_url)
            log.info("unrecognized bucket endpoint URL %r: taken for S3", shown)
        return told or "s3"

    def check_mountable(self) -> None:
        """Check the arguments before a container starts. ValueError, in Modal's words;
        InvalidError."""
        if self.secret is not None and not isinstance(self.secret, Secret):
            raise InvalidError(
                f"CloudBucketMount: secret= is a {type(self.secret).__name__}, and no Secret"
            )
        for name in ("bucket_name", "bucket_endpoint_url", "key_prefix", "oidc_auth_role_arn"):
            value = getattr(self, name)
            if not isinstance(value, str) and (value is not None or name == "bucket_name"):
                raise InvalidError(
                    f"CloudBucketMount: {name}= is a {type(value).__name__}, and no str"
                )
        if self.requester_pays and not self.secret:
            raise ValueError("Credentials required in order to use Requester Pays.")
        if self.key_prefix and not self.key_prefix.endswith("/"):
            raise ValueError(
                "key_prefix will be prefixed to all object paths, so it must end in a '/'"
            )

    def make_plan(self) -> BucketPlan:
        """Make what a daemon needs to open the bucket. Raises what ``check_mountable`` raises;
        NotFoundError for the secret; InvalidError for a wrong name or endpoint."""
        self.check_mountable()
        request = BucketRequest(
            self.bucket_name,
            self.bucket_endpoint_url,
            self.key_prefix or "",
            self.oidc_auth_role_arn,
            self.requester_pays,
            self.force_path_style,
        )
        secret = None if self.secret is None else read_environment([self.secret])
        return make_bucket_plan(request, secret, os.environ)

    # --- from other documents than Modal's ---------------------------------

    @classmethod
    def from_s3_bucket(
        cls,
        bucket_name: str,
        *,
        key_prefix: str = "",
        secret: Secret | None = None,
        read_only: bool = True,
    ) -> Self:
        """A bucket of S3; read-only unless said otherwise. Warns with DeprecationError."""
        _warn("from_s3_bucket")
        return cls(bucket_name, None, key_prefix or None, secret, read_only=read_only)

    @classmethod
    def from_gcs_bucket(
        cls,
        bucket_name: str,
        *,
        key_prefix: str = "",
        secret: Secret | None = None,
        read_only: bool = True,
    ) -> Self:
        """A bucket of Google's, likewise."""
        _warn("from_gcs_bucket")
        return cls(
            bucket_name, UsualEndpoint(GOOGLE), key_prefix or None, secret, read_only=read_only
        )

    @classmethod
    def from_azure_blob_storage(
        cls,
        account_name: str,
        container_name: str,
        *,
        key_prefix: str = "",
        secret: Secret | None = None,
        read_only: bool = True,
    ) -> Self:
        """A container of an account at Azure, likewise."""
        _warn("from_azure_blob_storage")
        endpoint = UsualEndpoint(f"https://{account_name}.blob.core.windows.net")
        return cls(container_name, endpoint, key_prefix or None, secret, read_only=read_only)


def _warn(name: str) -> None:
    instead = "CloudBucketMount(bucket_name, bucket_endpoint_url=...)"
    warn_of(f"CloudBucketMount.{name}", instead, frames=1)
