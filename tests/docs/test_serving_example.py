"""The program of docs/serving.md is served, and answers what the document says."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.serving.conftest import Serving

DOCUMENT = Path(__file__).parents[2] / "docs" / "serving.md"


@pytest.mark.fuse
def test_the_program_answers(tmp_path: Path) -> None:
    text = DOCUMENT.read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (session,) = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "hello.py").write_text(program)
    serving = Serving(tmp_path, str(tmp_path / "hello.py"), "--no-reload", "--port", "0")
    try:
        urls = serving.wait_for("note", "site")
        documented = dict(re.findall(r"^(\w+) http://(\S+)$", session, re.MULTILINE))
        asked = re.findall(r"^\$ curl '?(\S+?:\d+)([^'\s]*)'?.*\n(.*)$", session, re.MULTILINE)
        assert len(asked) == 2
        for address, path, answer in asked:
            (name,) = [name for name, known in documented.items() if known == address]
            assert httpx.get(urls[name] + path, timeout=60).text == answer
    finally:
        assert serving.end() == 0
