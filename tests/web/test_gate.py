"""Nothing without the token, nothing by another name, no change from another page; and whatever a
volume contains is text or a download."""

from __future__ import annotations

import re
from urllib.parse import quote

from tests.cli.conftest import Command
from tests.web.conftest import EVIL, NAMES, Page

VERSION = "/volumes/main/data/3"
ADDRESSES = (
    "/", "/mounts", "/mounts/0-1", "/volumes/main/data", "/volumes/main/data/1/diff/2",
    *(f"{VERSION}/{what}" for what in ("files", "restore", "tag")),
    *(f"{VERSION}/{what}?path=notes.txt" for what in ("files", "download", "image")),
    "/static/style.css", "/static/htmx.min.js", "/nothing", "/volumes/main/data/9/files",
)  # fmt: skip


def test_nothing_without_the_token(page: Page) -> None:
    for address in ADDRESSES:
        for headers in ({}, {"Cookie": f"{page.cookie}x"}, {"Cookie": "volfs-1=; =;;"}):
            refused = page.ask(address, cookie=False, **headers)
            assert refused.status == 403, address
            assert b"data" not in refused.body
    assert page.ask("/?token=wrong", cookie=False).status == 403
    assert page.ask("/?token=", cookie=False).status == 403
    assert page.post(f"{VERSION}/tag", "action=create&name=t", cookie=False).status == 403


def test_the_token_becomes_a_strict_cookie(page: Page) -> None:
    given = page.ask(f"/volumes/main/data?all=1&token={page.token}", cookie=False)
    assert given.status == 200
    cookie = given.headers["set-cookie"]
    assert cookie.startswith(page.cookie)
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert 'url=/volumes/main/data?all=1"' in given.text
    assert page.token not in given.text
    away = page.ask(f"//evil.example/?token={page.token}", cookie=False)
    assert "evil.example" not in away.text or 'url=/evil.example/"' in away.text


def test_only_by_a_name_of_its_own_and_only_from_its_own_page(page: Page) -> None:
    port = page.place.rsplit(":", 1)[1]
    assert page.ask("/", Host="evil.example").status == 403
    assert page.ask("/", Host=f"127.0.0.1.evil.example:{port}").status == 403
    assert page.ask("/", Host=f"localhost:{port}").status == 200
    form = "action=create&name=stolen"
    refused = (
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": f"http://127.0.0.1:{int(port) + 1}"},
        {"Origin": f"http://{page.place}", "Sec_Fetch_Site": "cross-site"},
        {"Origin": f"http://{page.place}", "Sec_Fetch_Site": "same-site"},
    )
    for headers in refused:
        assert page.ask(f"{VERSION}/tag", "POST", form, **headers).status == 403, headers
    assert "stolen" not in page.volfs("tag", "data").out.decode()


def test_every_answer_forbids_what_is_not_ours(page: Page) -> None:
    for address in ADDRESSES:
        answer = page.ask(address)
        policy = answer.headers["content-security-policy"]
        assert policy == "sandbox" or policy.startswith("default-src 'none'"), address
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        if answer.headers["content-type"].startswith("text/html"):
            assert not re.search(
                r"<script>|<style|<[^>]*\s(on\w+|style)=|javascript:", answer.text
            ), address


def test_hostile_names_are_text_and_lead_to_their_files(page: Page) -> None:
    listing = page.ask(f"{VERSION}/files").text
    assert "&lt;img src=x onerror" in listing
    assert "<img src=x" not in listing
    assert "\\u202etxt.exe" in listing
    assert "\u202e" not in listing
    for name in NAMES:
        path = quote(name)
        shown = page.ask(f"{VERSION}/files?path={path}")
        assert shown.status == 200, name
        assert "&lt;script&gt;" in shown.text
        got = page.ask(f"{VERSION}/download?path={path}")
        assert got.body.startswith(b"<script>")
        disposition = got.headers["content-disposition"]
        assert disposition.startswith("attachment;")
        assert not re.search(r"[\r\n]", disposition)
        assert got.headers["content-type"] == "application/octet-stream"
        assert page.ask(f"/volumes/main/data/0/diff/1?path={path}").status == 200


def test_only_pictures_are_shown_as_pictures(page: Page) -> None:
    png = page.ask(f"{VERSION}/image?path=real.png")
    assert (png.status, png.headers["content-type"]) == (200, "image/png")
    for name in ("evil.svg", "fake.png", "page.html", "notes.txt"):
        assert page.ask(f"{VERSION}/image?path={name}").status == 404, name
        assert "<img" not in page.ask(f"{VERSION}/files?path={name}").text
        assert page.ask(f"{VERSION}/download?path={name}").headers["content-type"] == (
            "application/octet-stream"
        )


def test_previews_and_differences(page: Page) -> None:
    table = page.ask(f"{VERSION}/files?path=people.csv").text
    assert "<td>Ann, B</td>" in table
    assert "<td>&lt;b&gt;Bob&lt;/b&gt;</td>" in table
    assert "00 01 02 03" in page.ask("/volumes/main/data/1/files?path=noise.bin").text
    lines = page.ask("/volumes/main/data/1/diff/2?path=notes.txt").text
    assert re.search(r'class="minus">.*?<td>two</td>', lines)
    assert re.search(r'class="plus">.*?<td>2 &lt;i&gt;</td>', lines)
    changes = page.ask("/volumes/main/data/2/diff/3").text
    assert "noise.bin" in changes
    assert "1 change<" in changes
    history = page.ask("/volumes/main/data").text
    assert "release-1" in history
    assert "fork data-try" in history


def test_restore_and_tag_are_asked_for_and_then_done(page: Page) -> None:
    assert "noise.bin" in page.ask("/volumes/main/data/2/restore").text
    stale = page.post("/volumes/main/data/2/restore", "path=&head=1")
    assert stale.status == 400
    assert "somebody has committed" in stale.text
    done = page.post("/volumes/main/data/2/restore", f"path={quote('noise.bin')}&head=3")
    assert (done.status, done.headers["location"]) == (303, "/volumes/main/data?did=restored")
    assert page.volfs("ls", "data", "noise.bin").out
    tag = "/volumes/main/data/4/tag"
    assert page.post(tag, "action=create&name=good").status == 303
    assert page.post(tag, "action=create&name=no/slash").status == 400
    taken = page.post(tag, "action=create&name=release-1")
    assert taken.status == 409
    assert 'name="move"' in taken.text
    assert page.post(tag, "action=create&name=release-1&move=1").status == 303
    assert page.post(tag, "action=delete&name=good").status == 303
    rows = page.volfs("tag", "data", "--json").json
    assert [(row["tag"], row["version"]) for row in rows] == [("release-1", 4)]


def test_addresses_that_mean_nothing(page: Page) -> None:
    for address in (
        "/volumes/main/none", "/volumes/main/data/99/files", f"{VERSION}/files?path=none",
        f"{VERSION}/files?path=notes.txt/x", "/mounts/x", "/volumes/%2e%2e/x",
    ):  # fmt: skip
        assert page.ask(address).status == 404, address
    for address in (
        f"{VERSION}/files?path=..", f"{VERSION}/files?path=%00", f"{VERSION}/files?skip=-1",
        "/volumes/main/data?before=x",
    ):  # fmt: skip
        assert page.ask(address).status == 400, address
    assert EVIL.decode() not in page.ask(f"{VERSION}/files?path={quote(EVIL + b'x')}").text


def test_what_is_missing_is_said(volfs: Command) -> None:
    hidden = volfs.directory / "hidden"
    hidden.mkdir()
    (hidden / "jinja2.py").write_text("raise ModuleNotFoundError('no', name='jinja2')")
    path = f"{hidden}:{volfs.environment['PYTHONPATH']}"
    said = volfs("ui", status=1, PYTHONPATH=path).err
    assert said == "volfs: ui: needs jinja2: pip install 'volfs[ui]'\n"
