"""What is read of Dockerfiles."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import volfs as modal
from volfs.api.apps import notes
from volfs.api.apps.dockerfile import (
    Instruction,
    find_packages,
    parse,
    parse_copy,
    parse_pairs,
    split_commands,
    substitute,
    take_last_stage,
)
from volfs.api.apps.installing import Packages
from volfs.exception import InvalidError, NotFoundError

slim = modal.Image.debian_slim()

TEXT = """
# syntax=docker/dockerfile:1
FROM python:3.11 AS builder
ARG EARLY=1
RUN make
FROM python:3.11-slim
ENV A=1 \\
    # a comment in the middle
    B="two words"

run <<EOF
echo one
EOF
copy --chown=1:1 a b /place/
CMD ["python", "-c", "1"]
"""


def test_instructions() -> None:
    assert take_last_stage(parse(TEXT)) == [
        Instruction("FROM", "python:3.11-slim"),
        Instruction("ENV", 'A=1 B="two words"'),
        Instruction("RUN", "<<EOF\necho one"),
        Instruction("COPY", "--chown=1:1 a b /place/"),
        Instruction("CMD", '["python", "-c", "1"]'),
    ]
    early = take_last_stage(parse("ARG V=1\nFROM a:$V\nFROM b\nRUN x"))
    assert [one.name for one in early] == ["ARG", "FROM", "RUN"]
    with pytest.raises(ValueError, match="<<EOF has no end"):
        parse("RUN <<EOF\necho")


@given(st.text(alphabet="AB a\\\n#<E=$\"'", max_size=80))
def test_any_text_is_read_to_its_end(text: str) -> None:
    with suppress(ValueError):  # a heredoc without an end
        assert all(one.name == one.name.upper() and one.name for one in parse(text))


def test_words() -> None:
    assert parse_pairs("A=1 B='x y' C=") == {"A": "1", "B": "x y", "C": ""}
    assert parse_pairs("A one two") == {"A": "one two"}
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_pairs("A=1 B")
    assert parse_copy('--chmod=1 ["a b", "c", "/d/"]'[10:]).sources == ("a b", "c")
    assert not parse_copy("--from=builder /a /b").is_local
    assert not parse_copy("https://x.org/a /b").is_local
    known = {"A": "1", "E": ""}
    for text, meaning in (
        ("$A-${A}-\\$A", "1-1-$A"),
        ("${N:-x}${A:-y}${E:-z}", "x1z"),
        ("${A:+yes}${N:+no}$N", "yes"),
    ):
        assert substitute(text, known) == meaning


def test_packages_of_run() -> None:
    assert find_packages("pip install --no-cache-dir a 'b>=1'") == ["a", "b>=1"]
    assert find_packages("python3 -m pip install -U a") == ["a"]
    assert find_packages("uv pip install --system a") == ["a"]
    assert find_packages("pip install --upgrade pip") == ["pip"]
    for other in (
        "pip install -r x.txt",
        "pip install .",
        "pip install a | tee",
        "pip list",
        "apt-get install a",
        "pip install $A",
        "pip install a>1",
        "pip install a; rm x",
        "pip install <<EOF\na\nEOF",
    ):
        assert find_packages(other) is None, other
    assert split_commands("a && b  && c") == ["a", "b", "c"]


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    known: set[str] = set()
    monkeypatch.setattr(notes, "_noted", known)
    return known


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "context"
    (place / "src").mkdir(parents=True)
    for name in ("src/main.py", "src/old.log", "wanted.txt", "other.txt"):
        (place / name).write_text(name)
    (place / ".dockerignore").write_text("# not these\n**/*.log\n")
    return place


@pytest.mark.noisy("not fetched", "not run", "not done", "means nothing")
def test_an_image_of_a_dockerfile(context: Path, noted: set[str]) -> None:
    (context / "Dockerfile").write_text(
        "ARG NAME=nobody\nFROM debian\nARG PLACE=/default\nENV WHO=$NAME\nWORKDIR $PLACE\n"
        "WORKDIR inner\nCOPY src .\nCOPY *.txt texts/\nCOPY --from=x /a /b\nUSER 1000\n"
        "RUN apt-get update && pip install teapot\nEXPOSE 80\nCMD python main.py\n"
    )
    image = modal.Image.from_dockerfile(
        context / "Dockerfile", context_dir=context, build_args={"PLACE": "/app"}
    )
    steps = list(image._iter_steps())
    assert isinstance(steps[0], Packages)
    assert steps[0].arguments == ("teapot",)
    built = image.before.build()
    assert built.environment == {"WHO": "nobody"}
    assert built.workdir == "/app/inner"
    (bind,) = built.binds
    assert bind.path == "/app/inner"
    files = {str(p.relative_to(bind.source)): p.read_text() for p in bind.source.rglob("*.*")}
    assert files == {
        "main.py": "src/main.py",
        "texts/wanted.txt": "wanted.txt",
        "texts/other.txt": "other.txt",
    }
    said = " ".join(sorted(noted))
    for text in ("FROM debian", "COPY --from=x", "RUN apt-get update", "EXPOSE 80", "USER", "CMD"):
        assert text in said


@pytest.mark.noisy("not run")
def test_commands_of_a_dockerfile(context: Path, noted: set[str]) -> None:
    image = slim.dockerfile_commands(
        "COPY /given.txt /srv/",
        ["ENV A=1", "RUN make"],
        context_files={"/given.txt": str(context / "wanted.txt")},
    )
    built = image.build()
    assert [(bind.path, bind.source.read_text()) for bind in built.binds] == [
        ("/srv/wanted.txt", "wanted.txt")
    ]
    assert built.environment == {"A": "1"}
    assert slim.dockerfile_commands([]) == slim


def test_what_is_wrong_in_a_dockerfile(context: Path) -> None:
    for text, why in (
        ("COPY a", "what is to be copied"),
        ("COPY ../x /y", "outside"),
        ("ENV A=1 B", "NAME=VALUE"),
        ("RUN <<X\n", "no end"),
        ("COPY src /", "cannot be put at /"),
        ('ENV A="1', "No closing quotation"),
    ):
        with pytest.raises(InvalidError, match=why):
            slim.dockerfile_commands(text, context_dir=context)
    with pytest.raises(NotFoundError, match="nothing"):
        slim.dockerfile_commands("COPY nothing /x", context_dir=context)
    with pytest.raises(NotFoundError, match="no such Dockerfile"):
        modal.Image.from_dockerfile(context / "nothing")
