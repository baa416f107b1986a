"""``volfs.CloudBucketMount``: a bucket in ``volumes=``, in Modal's shape.

What it says is checked here; to mount one takes the distributed engine.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from volfs.api.deprecated import warn_of
from volfs.api.mount_rules import VOLUME
from volfs.api.secret import Secret
from volfs.errors import UnimplementedError

log = logging.getLogger(__name__)

BucketType = Literal["s3", "r2", "gcp", "azure"]
_GCS = "https://storage.googleapis.com"
_TYPES: dict[str, BucketType] = {
    "r2.cloudflarestorage.com": "r2",
    "storage.googleapis.com": "gcp",
    "blob.core.windows.net": "azure",
}
"""By the end of the endpoint's host."""


@dataclass(frozen=True)
class CloudBucketMount:
    """A bucket, or what is below a prefix in it, to be mounted in containers.

    Any values are taken; ``check_mountable`` looks at them when a container
    is about to start. ``secret`` has the credentials; without, the bucket is public.
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

    @property
    def bucket_type(self) -> BucketType:
        """What the endpoint's host says; S3 where that says nothing."""
        if self.bucket_endpoint_url is None:
            return "s3"
        host = urlsplit(self.bucket_endpoint_url).hostname or ""
        for end, bucket_type in _TYPES.items():
            if host.endswith(end):
                return bucket_type
        log.info("unrecognized bucket endpoint URL %r: taken for S3", self.bucket_endpoint_url)
        return "s3"

    def check_mountable(self) -> None:
        """What a container calls before it mounts this. ValueError; UnimplementedError."""
        if self.requester_pays and not self.secret:
            raise ValueError("Credentials required in order to use Requester Pays.")
        if self.key_prefix and not self.key_prefix.endswith("/"):
            raise ValueError(
                "key_prefix will be prefixed to all object paths, so it must end in a '/'"
            )
        raise UnimplementedError(
            f"bucket {self.bucket_name} ({self.bucket_type}): buckets cannot be mounted yet; "
            "copy what you need into a Volume"
        )

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
        return cls(bucket_name, _GCS, key_prefix or None, secret, read_only=read_only)

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
        endpoint = f"https://{account_name}.blob.core.windows.net"
        return cls(container_name, endpoint, key_prefix or None, secret, read_only=read_only)


def _warn(name: str) -> None:
    instead = "CloudBucketMount(bucket_name, bucket_endpoint_url=...)"
    warn_of(f"CloudBucketMount.{name}", instead, frames=1)
