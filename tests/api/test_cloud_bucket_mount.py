"""``volfs.CloudBucketMount``: what it takes, and what it says before it is mounted."""

from __future__ import annotations

import dataclasses
import inspect
import logging

import pytest

import volfs as modal

deprecated = modal.exception.DeprecationError


def test_has_modals_fields() -> None:
    fields = dataclasses.fields(modal.CloudBucketMount)
    assert {field.name: field.default for field in fields} == {
        "bucket_name": dataclasses.MISSING,
        "bucket_endpoint_url": None,
        "key_prefix": None,
        "secret": None,
        "oidc_auth_role_arn": None,
        "read_only": False,
        "requester_pays": False,
        "force_path_style": False,
    }
    bucket = modal.CloudBucketMount("data")
    with pytest.raises(dataclasses.FrozenInstanceError):
        bucket.read_only = True  # type: ignore[misc]
    assert hash(bucket) == hash(modal.CloudBucketMount("data"))


@pytest.mark.parametrize(
    ("url", "bucket_type"),
    [
        (None, "s3"),
        ("https://abc.r2.cloudflarestorage.com", "r2"),
        ("https://storage.googleapis.com", "gcp"),
        ("https://account.blob.core.windows.net", "azure"),
    ],
)
def test_the_host_says_whose_bucket_it_is(url: str | None, bucket_type: str) -> None:
    assert modal.CloudBucketMount("data", url).bucket_type == bucket_type


def test_an_unknown_host_is_taken_for_s3(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bucket = modal.CloudBucketMount("data", bucket_endpoint_url="http://localhost:9000")
    assert bucket.bucket_type == "s3"
    assert "localhost:9000" in caplog.text


@pytest.mark.parametrize(
    "url",
    ["https://me:hush@host:9000", "me:hush@host", "https://host/?sig=hush", "http://me:hu@sh@h"],
)
def test_a_password_in_an_endpoint_is_shown_nowhere(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bucket = modal.CloudBucketMount("data", url, "p/", read_only=True)
    assert bucket.bucket_type == "s3"
    for text in (repr(bucket), f"{[bucket]}", caplog.text):
        assert "hush" not in text
        assert "hu@sh" not in text
    assert "hush" not in repr(modal.CloudBucketMount("s3://AKIA:hush@data"))
    assert repr(modal.CloudBucketMount("data", "http://h:1", "p/")) == (
        "CloudBucketMount(bucket_name='data', bucket_endpoint_url='http://h:1', key_prefix='p/', "
        "secret=None, oidc_auth_role_arn=None, read_only=False, requester_pays=False, "
        "force_path_style=False)"
    )
    assert "bucket_name=7," in repr(modal.CloudBucketMount(7))  # type: ignore[arg-type]


def test_what_is_wrong_is_said_when_it_is_to_be_mounted() -> None:
    with pytest.raises(
        ValueError, match=r"^Credentials required in order to use Requester Pays\.$"
    ):
        modal.CloudBucketMount("data", requester_pays=True).make_plan()
    with pytest.raises(ValueError, match=r"^key_prefix will be prefixed to all object paths"):
        modal.CloudBucketMount("data", key_prefix="no/slash").make_plan()


def test_names_of_other_documents() -> None:
    bucket = modal.CloudBucketMount
    with pytest.warns(deprecated, match="from_s3_bucket"):
        s3 = bucket.from_s3_bucket("data", key_prefix="a/")
    with pytest.warns(deprecated, match="from_gcs_bucket"):
        gcs = bucket.from_gcs_bucket("data", read_only=False)
    with pytest.warns(deprecated, match="from_azure_blob_storage"):
        azure = bucket.from_azure_blob_storage("account", "container")
    assert s3 == bucket("data", key_prefix="a/", read_only=True)
    assert gcs == bucket("data", "https://storage.googleapis.com", read_only=False)
    endpoint = "https://account.blob.core.windows.net"
    assert azure == bucket("container", endpoint, read_only=True)
    assert [each.bucket_type for each in (s3, gcs, azure)] == ["s3", "gcp", "azure"]


@pytest.mark.parametrize("name", ["from_s3_bucket", "from_gcs_bucket", "from_azure_blob_storage"])
def test_signatures_of_other_documents(name: str) -> None:
    parameters = inspect.signature(getattr(modal.CloudBucketMount, name)).parameters
    named = {
        key: value.default for key, value in parameters.items() if value.kind == value.KEYWORD_ONLY
    }
    assert named == {"key_prefix": "", "secret": None, "read_only": True}
