"""Options as Docker passes them."""

from __future__ import annotations

import pytest

from volfs.docker.docker_volumes import check_docker_name
from volfs.docker.volume_options import VolumeOptions, parse_options
from volfs.errors import VolfsError


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({}, VolumeOptions()),
        ({"auto_commit": "5", "ro": ""}, VolumeOptions(auto_commit=5.0, ro=True)),
        ({"auto-commit": ""}, VolumeOptions(auto_commit=5.0)),
        ({"ro": "False", "keep": "YES"}, VolumeOptions(keep=True)),
        (
            {"volume": "_x", "environment": "dev", "at": "first", "sub-path": "a/b"},
            VolumeOptions("_x", "dev", "first", sub_path="a/b"),
        ),
        ({"commit": "never", "version": "1"}, VolumeOptions(commit="never", version=1)),
    ],
)
def test_options_are_read(given: dict[str, str], meant: VolumeOptions) -> None:
    assert parse_options(given) == meant


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"autocommit": "5"}, "did you mean auto_commit"),
        ({"colour": "red"}, "unknown option colour: use at, auto_commit"),
        ({"auto_commit": "soon"}, "number of seconds"),
        ({"auto_commit": "nan"}, "number of seconds"),
        ({"auto_commit": "-1"}, "number of seconds"),
        ({"auto_commit": "1", "auto-commit": "2"}, "given twice"),
        ({"ro": "maybe"}, "true or false"),
        ({"at": ""}, "lacks a value"),
        ({"volume": "a/b"}, "invalid volume name"),
        ({"environment": "-"}, "Invalid Environment name"),
        ({"commit": "success"}, "Docker does not tell"),
        ({"commit": "often"}, "always or never"),
        ({"version": "3"}, "must be either 1 or 2"),
        ({"version": "\u00b2"}, "use 1 or 2"),
    ],
)
def test_a_wrong_option_is_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(VolfsError, match=said):
        parse_options(given)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", ".x", "a\n", "x" * 201, "ü"])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(VolfsError, match="invalid name"):
        check_docker_name(name)
