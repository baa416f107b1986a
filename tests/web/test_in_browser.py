"""The page in Chromium, as people use it: with a mouse, with keys alone, in a narrow window."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.mounted import wait_until
from tests.web.conftest import NAMES, Page

pytestmark = pytest.mark.fuse
CHROMIUM = os.environ.get("VOLFS_CHROMIUM") or shutil.which("chromium")
"""Debian's package chromium; another place of it is named by the variable."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # Whoever is root has no sandbox there; the pages are our own.
        found = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield found
        found.close()


@pytest.fixture
def tab(browser: Any, page: Page) -> Iterator[Any]:
    """A tab that was let in. An error of a script, a dialog or a refused resource fails the
    test."""
    context = browser.new_context(viewport={"width": 1100, "height": 800}, accept_downloads=True)
    found = context.new_page()
    wrong: list[str] = []
    found.on("pageerror", lambda error: wrong.append(str(error)))
    found.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    found.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    found.goto(page.url)
    found.wait_for_selector("h1:text('Volumes')")
    found.wait_for_load_state()
    assert "token" not in found.url
    yield found
    context.close()
    assert wrong == []


def test_from_a_volume_to_a_difference_and_back_to_an_old_version(tab: Any, page: Page) -> None:
    tab.click("text=data >> nth=0")
    assert tab.locator("ol.line li").count() == 3
    assert tab.locator(".tag:text('release-1')").count() == 1
    tab.locator("ol.line li").nth(1).get_by_text("Changes").click()
    tab.locator("table.rows").get_by_text("notes.txt").click()
    assert tab.locator("tr.minus td").nth(1).inner_text() == "two"
    assert tab.locator("tr.plus td").nth(1).inner_text() == "2 <i>"
    tab.click("text=At 2")
    with tab.expect_download() as caught:
        tab.click("text=Download")
    assert Path(caught.value.path()).read_bytes() == b"one\n2 <i>\nthree\n"
    assert caught.value.suggested_filename == "notes.txt"
    tab.click("nav.crumbs >> text=data >> nth=0")
    tab.locator("ol.line li").nth(1).get_by_text("Restore").click()
    assert "noise.bin" in tab.locator("table.rows").inner_text()
    tab.get_by_role("link", name="Cancel").click()
    assert tab.locator("ol.line li").count() == 3, "cancelled, so nothing has changed"
    tab.locator("ol.line li").nth(1).get_by_text("Restore").click()
    tab.get_by_role("button", name="Restore").click()
    assert tab.locator("ol.line li").count() == 4
    assert "Restored" in tab.locator("[role=status]").inner_text()
    tab.locator("ol.line li").nth(0).get_by_text("Tag", exact=True).click()
    tab.fill("input[name=name]", "again")
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".tag:text('again')")
    tags = page.volfs("tag", "data", "--json").json
    assert {row["tag"]: row["version"] for row in tags} == {"release-1": 2, "again": 4}


def test_hostile_names_and_contents_do_nothing(tab: Any, page: Page) -> None:
    root = f"http://{page.place}/volumes/main/data/1/files"
    tab.goto(root)
    names = tab.locator("table.files td a").all_inner_texts()
    assert len(names) == len(NAMES) + 7
    for at in range(len(names)):
        tab.locator("table.files td a").nth(at).click()
        assert tab.locator("nav.crumbs b").last.inner_text() == names[at]
        assert tab.title().endswith("volfs"), "no script has run"
        tab.goto(root)
    tab.goto(f"{root}?path=real.png")
    assert tab.evaluate("document.querySelector('.picture img').naturalWidth") > 0
    for name in ("evil.svg", "fake.png", "page.html"):
        tab.goto(f"{root}?path={name}")
        assert tab.locator("img").count() == 0


def test_keys_and_a_narrow_window(tab: Any, page: Page) -> None:
    tab.set_viewport_size({"width": 400, "height": 700})
    tab.keyboard.press("/")
    tab.keyboard.type("try")
    assert tab.locator("main tr[data-row]:visible").count() == 1
    tab.keyboard.press("Escape")
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("ol.line")
    tab.wait_for_load_state()  # keys work from then on
    tab.keyboard.press("u")
    tab.wait_for_selector("h1:text('Volumes')")
    tab.wait_for_load_state()
    tab.keyboard.press("?")
    assert tab.locator("dialog").is_visible()
    tab.keyboard.press("Escape")
    for path in (
        "/",
        "/volumes/main/data",
        "/volumes/main/data/1/files",
        "/volumes/main/data/1/diff/2",
    ):
        tab.goto(f"http://{page.place}{path}")
        width = tab.evaluate("document.documentElement.scrollWidth")
        assert width <= 400, (path, width)


def test_what_a_mount_changes_is_seen_live(tab: Any, page: Page) -> None:
    place = page.volfs.directory / "mnt"
    place.mkdir()
    page.volfs("mount", "data-try", place)
    try:
        tab.goto(f"http://{page.place}/")
        tab.get_by_role("link", name=str(place)).click()
        assert "Nothing is uncommitted" in tab.locator("#mount").inner_text()
        (place / "fresh").write_text("new")
        tab.wait_for_selector("td:text('fresh')")
        page.volfs("commit", place)
        tab.wait_for_selector("text=Nothing is uncommitted")
    finally:
        page.volfs("umount", place)
    assert wait_until(lambda: not os.path.ismount(place), "the end of the mount")
