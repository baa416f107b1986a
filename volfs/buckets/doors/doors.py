"""From an address to a door: which service it is, where it is, and with which credentials.

Everything that decides where requests go is found here, in a fixed order: the address, the secret,
the environment by the names that AWS's tools use, the profile. No library looks for more.
"""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from volfs.buckets.address import AZ, GS, HOST, PATH, BucketAddress, check_endpoint
from volfs.buckets.credentials.aws_credentials import find_keys, find_profile_setting
from volfs.buckets.credentials.aws_signing import AwsSigner
from volfs.buckets.credentials.azure_credentials import (
    BLOB_ENDPOINT,
    find_azure_signer,
    read_connection_string,
)
from volfs.buckets.credentials.google_credentials import find_google_signer
from volfs.buckets.credentials.signing import NoSigner, Signer
from volfs.buckets.doors.azure import AzureDoor
from volfs.buckets.doors.gcs import GcsDoor
from volfs.buckets.doors.http_door import BucketPlace
from volfs.buckets.doors.s3 import S3Door
from volfs.buckets.objects import Door
from volfs.buckets.options import BucketOptions
from volfs.buckets.proxies import find_proxy
from volfs.buckets.wire import Wire
from volfs.errors import InvalidError

REGION = "us-east-1"
AUTO = "auto"
"""The region of services that have no regions, and accept any name."""
GOOGLE_ROOT = "https://storage.googleapis.com"
_GOOGLE = "storage.googleapis.com"
_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")


def open_door(address: BucketAddress, options: BucketOptions) -> Door:
    """The door of a bucket. InvalidError for an address or a profile that cannot be valid."""
    if address.scheme == GS:
        return _open_gcs(address, options)
    if address.scheme == AZ:
        return _open_azure(address, options)
    return _open_s3(address, options)


def _open_gcs(address: BucketAddress, options: BucketOptions) -> Door:
    """Open a bucket of Google's. Unless Accept-Encoding has gzip, Google unpacks objects that are
    stored packed."""
    root = address.endpoint or find_google_endpoint(options)
    wire = Wire(root, proxy=find_proxy(root, options.environ))
    extra = {"accept-encoding": "gzip"}
    project = options.find("GOOGLE_CLOUD_PROJECT")
    if options.requester_pays:
        if not project:
            raise InvalidError(f"{address.name}: set GOOGLE_CLOUD_PROJECT, which is to pay")
        extra["x-goog-user-project"] = project
    base = urlsplit(root).path.rstrip("/")
    place = BucketPlace(address.name, f"{base}/{address.bucket}")
    return GcsDoor(place, wire, find_google_signer(options), extra)


def _open_azure(address: BucketAddress, options: BucketOptions) -> Door:
    """Open a container of Azure's. The account is in the host's name, except for emulators, which
    have it in the path."""
    endpoint = address.endpoint or find_azure_endpoint(address.account, options)
    parts = urlsplit(endpoint)
    in_host = (parts.hostname or "").startswith(f"{address.account}.")
    in_path = parts.path.strip("/") == address.account
    account = "" if in_host or in_path else f"/{address.account}"
    place = BucketPlace(address.name, f"{parts.path}{account}/{address.bucket}")
    signer = find_azure_signer(address.account, options)
    wire = Wire(endpoint, proxy=find_proxy(endpoint, options.environ))
    return AzureDoor(place, wire, signer)


def find_said_endpoint(address: BucketAddress, options: BucketOptions) -> str | None:
    """The endpoint that the options name for an address without one. None for the usual one."""
    if address.scheme == GS:
        found = find_google_endpoint(options)
        return None if found == GOOGLE_ROOT else found
    if address.scheme == AZ:
        found = find_azure_endpoint(address.account, options)
        return None if found == _azure_root(address.account) else found
    return find_endpoint(address, options)


def find_google_endpoint(options: BucketOptions) -> str:
    """Find the endpoint of Google: an emulator, by the name that Google's clients use, or the
    service itself."""
    found = options.find("STORAGE_EMULATOR_HOST")
    if found is None:
        return GOOGLE_ROOT
    url = found if "://" in found else f"http://{found}"
    return check_endpoint(url, "STORAGE_EMULATOR_HOST")


def find_azure_endpoint(account: str, options: BucketOptions) -> str:
    """Find the endpoint of an account: by the names that Azure's command line uses, or at Azure."""
    for source in (options.secret or {}, options.environ):
        told = read_connection_string(source.get("AZURE_STORAGE_CONNECTION_STRING"))
        for name in (BLOB_ENDPOINT, "AZURE_STORAGE_SERVICE_ENDPOINT"):
            found = {**source, **told}.get(name)
            if found:
                return check_endpoint(found, name)
    return _azure_root(account)


def _azure_root(account: str) -> str:
    return f"https://{account}.blob.core.windows.net"


def _open_s3(address: BucketAddress, options: BucketOptions) -> Door:
    endpoint = find_endpoint(address, options)
    if endpoint is not None and (urlsplit(endpoint).hostname or "").endswith(_GOOGLE):
        # Google's S3 interface knows no conditions on writes. Google's own interface does.
        return _open_gcs(address._replace(endpoint=endpoint), options)
    region = find_region(address, options, endpoint)
    trust = find_trust(options)

    def reopen(place: str) -> tuple[BucketPlace, Wire, Signer]:
        root, path = place_bucket(address, endpoint, place)
        return (
            BucketPlace(address.name, path),
            Wire(root, trust=trust, proxy=find_proxy(root, options.environ)),
            _make_signer(options, place),
        )

    extra = {"x-amz-request-payer": "requester"} if options.requester_pays else {}
    door = S3Door(*reopen(region), extra)
    if address.region is None:
        # A region of the environment is about most buckets, and perhaps not about this one.
        door.reopen = reopen
    return door


def find_trust(options: BucketOptions) -> ssl.SSLContext | None:
    """The certificates to trust, if the options name any; else None, for the machine's.
    InvalidError."""
    path = options.find("AWS_CA_BUNDLE") or find_profile_setting(options, "ca_bundle")
    if path is None:
        return None
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        reason = error.strerror or "no certificates are in it"
        raise InvalidError(f"AWS_CA_BUNDLE={path}: {reason}") from None


def _make_signer(options: BucketOptions, region: str) -> Signer:
    keys = None if options.unsigned else find_keys(options, region)
    return NoSigner() if keys is None else AwsSigner(keys, region)


def find_endpoint(address: BucketAddress, options: BucketOptions) -> str | None:
    """Where S3 is, without the bucket. None for Amazon's own."""
    if address.endpoint:
        return address.endpoint
    found = options.find("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    found = found or find_profile_setting(options, "endpoint_url")
    if found is None:
        return None
    return check_endpoint(found, "AWS_ENDPOINT_URL")


def find_region(address: BucketAddress, options: BucketOptions, endpoint: str | None) -> str:
    """The region that signatures name."""
    return _find_said(address, options) or (REGION if is_amazon(endpoint) else AUTO)


def _find_said(address: BucketAddress, options: BucketOptions) -> str | None:
    found = address.region or options.find("AWS_REGION", "AWS_DEFAULT_REGION")
    return found or find_profile_setting(options, "region")


def is_amazon(endpoint: str | None) -> bool:
    return endpoint is None or (urlsplit(endpoint).hostname or "").endswith(_AMAZON)


def place_bucket(address: BucketAddress, endpoint: str | None, region: str) -> tuple[str, str]:
    """Scheme and host of a bucket's requests, and the beginning of their paths."""
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    parts = urlsplit(endpoint or f"https://s3.{region}.{domain}")
    fits_host = endpoint is None and not {".", ":", "_"} & set(address.bucket)
    style = address.style or (HOST if fits_host else PATH)
    if style == HOST:
        return f"{parts.scheme}://{address.bucket}.{parts.netloc}", parts.path
    return f"{parts.scheme}://{parts.netloc}", f"{parts.path}/{address.bucket}"
