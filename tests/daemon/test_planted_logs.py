"""A log is not written through a link that another user has put at its place."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from volfs.daemon.logs import start_log
from volfs.errors import UserError


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The root logger as it was."""
    root = logging.getLogger()
    before, level, raising = list(root.handlers), root.level, logging.raiseExceptions
    yield
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.raiseExceptions = raising


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a link away")
@pytest.mark.parametrize("given", [True, False])
def test_a_link_of_another_user_is_refused(tmp_path: Path, given: bool) -> None:
    """Both where the user names it and in the store's directory of logs."""
    link, victim = tmp_path / "log", tmp_path / "victim"
    link.symlink_to(victim)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    with pytest.raises(UserError, match="user 12345"):
        start_log(str(link) if given else None, "info", link, foreground=False)
    assert not victim.exists()


def test_a_link_of_ours_is_followed(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("real")
    start_log(str(tmp_path / "log"), "info", tmp_path / "default", foreground=False)
    assert (tmp_path / "real").exists()
