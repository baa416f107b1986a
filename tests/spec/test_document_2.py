"""S2, "Storage & Data": much of it is no Modal's, and volfs has it all the same."""

from __future__ import annotations

import pytest

import volfs as modal
from tests.spec.declared import check_accepted, find_attributes, find_classes


@pytest.mark.block(35, "declared")
def test_dict_is_declared() -> None:
    """Dict takes every call declared; keys, values and items are iterators, as on Modal"""
    declared = find_classes(35)
    check_accepted(modal.Dict, declared["Dict"])
    with modal.Dict.ephemeral() as d:
        assert find_attributes(declared["DictInfo"]) <= set(dir(d.info()))
        d["a"] = 1
        assert (next(d.keys()), next(d.values()), next(d.items())) == ("a", 1, ("a", 1))


@pytest.mark.block(37, "declared")
def test_queue_is_declared() -> None:
    """Queue takes every call declared"""
    declared = find_classes(37)
    check_accepted(modal.Queue, declared["Queue"])
    with modal.Queue.ephemeral() as q:
        assert find_attributes(declared["QueueInfo"]) <= set(dir(q.info()))


@pytest.mark.block(39, "declared")
def test_cloud_bucket_mount_is_declared() -> None:
    """CloudBucketMount takes every call declared"""
    check_accepted(modal.CloudBucketMount, find_classes(39)["CloudBucketMount"])
