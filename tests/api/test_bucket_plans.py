"""What is opened for a CloudBucketMount: from the arguments, the secret and the environment."""

from __future__ import annotations

import pickle
import string
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

import volfs as modal
from volfs.api.bucket_plans import BucketRequest, UsualEndpoint, make_bucket_plan
from volfs.buckets.address import parse_bucket_address
from volfs.buckets.doors.doors import find_azure_endpoint, find_google_endpoint
from volfs.buckets.options import BucketOptions
from volfs.errors import InvalidError

AWS = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "aws-key"}
HMAC = {"GOOGLE_ACCESS_KEY_ID": "GOOG1", "GOOGLE_ACCESS_KEY_SECRET": "google-key"}
ACCOUNT = {"GOOGLE_APPLICATION_CREDENTIALS_JSON": "{}"}
AZURE = {"AZURE_STORAGE_ACCOUNT": "store", "AZURE_STORAGE_KEY": "azure-key"}
STRING = {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=store;AccountKey=a2V5;BlobEndpoint=x"}
LOOP = "http://127.0.0.1:9"
ROOT = "https://storage.googleapis.com"
USUAL = UsualEndpoint(ROOT)
names = st.from_regex(r"[a-z0-9][a-z0-9-]{1,40}", fullmatch=True)
prefixes = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40)
variables = st.dictionaries(
    st.sampled_from([*AWS, *HMAC, *ACCOUNT, *AZURE, *STRING, "AWS_REGION", "PATH", "TOKEN"]),
    st.text(string.ascii_letters, min_size=12, max_size=20).map("secret".__add__),
)


@pytest.mark.parametrize(
    ("endpoint", "secret", "expected"),
    [
        (None, None, "s3://data/"),
        (None, AWS, "s3://data/"),
        (None, HMAC, "gs://data/"),
        (None, ACCOUNT, "gs://data/"),
        (None, AZURE, "az://store/data/"),
        (None, STRING, "az://store/data/"),
        (None, AWS | HMAC, "s3://data/"),
        (None, HMAC | {"AWS_ENDPOINT_URL": LOOP}, "s3://data/"),
        (LOOP, AWS | ACCOUNT | AZURE, f"s3://data/?endpoint={LOOP}"),
        (LOOP, ACCOUNT, f"gs://data/?endpoint={LOOP}"),
        (f"{LOOP}/store", {"AZURE_STORAGE_KEY": "k"}, f"az://store/data/?endpoint={LOOP}/store"),
        ("https://x.r2.cloudflarestorage.com/", AWS, "s3://data/?endpoint=https://x.r2.cloudfla"),
        (ROOT, AWS | {"AWS_ENDPOINT_URL": LOOP}, f"gs://data/?endpoint={ROOT}"),
        (ROOT, HMAC | {"STORAGE_EMULATOR_HOST": LOOP}, f"gs://data/?endpoint={ROOT}"),
        (USUAL, HMAC, "gs://data/"),
        (USUAL, HMAC | {"STORAGE_EMULATOR_HOST": LOOP, "AWS_ENDPOINT_URL": "x"}, "gs://data/"),
        (USUAL, HMAC | {"AWS_ENDPOINT_URL": LOOP}, f"s3://data/?endpoint={LOOP}"),
        (USUAL, ACCOUNT | {"AWS_ENDPOINT_URL": LOOP}, f"gs://data/?endpoint={LOOP}"),
        ("https://acct.blob.core.windows.net", AZURE, "az://acct/data/?endpoint=https://acct."),
        ("https://acct.blob.core.usgovcloudapi.net", None, "az://acct/data/?endpoint=https://acct"),
        (UsualEndpoint("https://acct.blob.core.windows.net"), AZURE, "az://acct/data/"),
    ],
)
def test_whose_bucket_it_is(
    endpoint: str | None, secret: dict[str, str] | None, expected: str
) -> None:
    plan = make_bucket_plan(BucketRequest("data", endpoint), secret, {})
    assert plan.address.startswith(expected)
    assert plan.address == expected or not expected.endswith("/")
    parse_bucket_address(plan.address)
    if plan.address.startswith("s3") and secret and HMAC.items() <= secret.items():
        assert {"AK", "GOOG1"} & set((plan.secret or {}).values())
        assert (plan.secret or {})["AWS_SECRET_ACCESS_KEY"] in ("aws-key", "google-key")


def test_where_the_services_are() -> None:
    def options(secret: Mapping[str, str] | None, **environ: str) -> BucketOptions:
        return BucketOptions(secret=secret, environ=environ)

    host = "STORAGE_EMULATOR_HOST"
    assert find_google_endpoint(options(None)) == ROOT
    assert find_google_endpoint(options(None, **{host: "localhost:1/"})) == "http://localhost:1"
    assert find_google_endpoint(options({host: LOOP}, **{host: "localhost:1"})) == LOOP
    usual = "https://store.blob.core.windows.net"
    assert find_azure_endpoint("store", options({})) == usual
    said = {"AZURE_STORAGE_CONNECTION_STRING": f"a=b;BlobEndpoint={LOOP}/store/;c=d"}
    assert find_azure_endpoint("store", options(said)) == f"{LOOP}/store"
    service = {"AZURE_STORAGE_SERVICE_ENDPOINT": LOOP}
    assert find_azure_endpoint("store", options(None, **service)) == LOOP
    for wrong in ("ftp://x", "http://", "http://user@host"):
        with pytest.raises(InvalidError, match="STORAGE_EMULATOR_HOST"):
            find_google_endpoint(options({host: wrong}))


@given(names, prefixes, variables, variables, st.booleans(), st.booleans())
def test_nothing_is_lost_and_nothing_is_shown(
    name: str,
    prefix: str,
    secret: dict[str, str],
    environ: dict[str, str],
    pays: bool,
    style: bool,
) -> None:
    prefix = f"{prefix}/" if prefix else ""
    request = BucketRequest(name, None, prefix, None, pays, style)
    try:
        plan = make_bucket_plan(request, secret, environ)
    except InvalidError as error:
        if "account" not in str(error):
            raise
        return
    address = parse_bucket_address(plan.address)
    assert (address.bucket, address.prefix) == (name, prefix)
    assert (plan.requester_pays, address.style) == (
        pays,
        "path" if style and address.scheme == "s3" else None,
    )
    shown = f"{plan!r} {plan.address}"
    values = {*secret.values(), *environ.values()} - {address.account}
    assert not [value for value in values if value in shown]
    assert plan.secret is not None
    assert plan.environ is not None
    assert not {"PATH", "TOKEN"} & {*plan.secret, *plan.environ}
    kept = {key: value for key, value in secret.items() if key.startswith(("AWS_", "GOO", "AZ"))}
    assert kept.items() <= plan.secret.items()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bucket_name": ""}, "no bucket is named"),
        ({"bucket_name": "data/in"}, "key_prefix= has the folder"),
        ({"bucket_name": "s3://data"}, "give the bucket's name alone"),
        ({"bucket_name": "my bucket"}, "a bucket's name has letters"),
        ({"bucket_name": None}, "bucket_name= is a NoneType, and no str"),
        ({"bucket_name": "data", "secret": "aws"}, "secret= is a str, and no Secret"),
        ({"bucket_name": "data", "key_prefix": b"a/"}, "key_prefix= is a bytes"),
        ({"bucket_name": "data", "key_prefix": "a\0/"}, "no NUL"),
        ({"bucket_name": "data", "bucket_endpoint_url": "localhost:9000"}, "http://HOST:PORT"),
        ({"bucket_name": "data", "bucket_endpoint_url": "http://["}, "not a URL"),
        ({"bucket_name": "data", "bucket_endpoint_url": "http://me:pw@host"}, "no user"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidError, match=message) as raised:
        modal.CloudBucketMount(**arguments).make_plan()  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_a_secret_for_azure_says_the_account() -> None:
    with pytest.raises(InvalidError, match="set AZURE_STORAGE_ACCOUNT in it"):
        make_bucket_plan(BucketRequest("data"), {"AZURE_STORAGE_SAS_TOKEN": "sig=x"}, {})


def test_the_older_constructors_name_a_service_and_no_place() -> None:
    with pytest.warns(modal.exception.DeprecationError):
        bucket = modal.CloudBucketMount.from_gcs_bucket("data")
    again = pickle.loads(pickle.dumps(bucket))
    assert again == bucket == modal.CloudBucketMount("data", ROOT, read_only=True)
    assert isinstance(again.bucket_endpoint_url, UsualEndpoint)


def test_values_of_a_secret_are_in_no_repr_and_no_pickle() -> None:
    secret = modal.Secret.from_dict(AWS)
    bucket = modal.CloudBucketMount("data", secret=secret)
    assert "aws-key" not in f"{bucket!r} {bucket.make_plan()!r}"
    with pytest.raises(modal.exception.SerializationError) as raised:
        pickle.dumps(bucket)
    assert "aws-key" not in str(raised.value)
