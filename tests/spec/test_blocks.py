"""Every block of the documents is shown by one test, and README.md says by which."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.spec.blocks import BLOCKS, DOCUMENTS
from tests.spec.table import README, VERDICTS, find_all, make_table

GIVEN = Path(__file__).resolve().parents[3] / "shared"
given = pytest.mark.skipif(not GIVEN.is_dir(), reason="the documents are not beside this project")


def test_there_are_seventy() -> None:
    documents = Counter(block.where.partition(":")[0] for block in BLOCKS.values())
    assert documents == {"S0": 16, "S1": 14, "S2": 12, "S3": 16, "S4": 12}
    languages = Counter(block.language for block in BLOCKS.values())
    assert languages == {"python": 57, "python { .api }": 5, "bash": 6, "": 2}


def test_each_is_shown_once() -> None:
    assert [shown.number for shown in find_all()] == list(BLOCKS)


def test_each_says_what_it_showed() -> None:
    for shown in find_all():
        assert shown.verdict in VERDICTS
        assert shown.what, BLOCKS[shown.number].where


def test_the_table_says_the_same() -> None:
    assert README.read_text().endswith(make_table()), "run: python -m tests.spec.table"


@given
def test_the_documents_are_those_given() -> None:
    originals = {path.name: path.read_bytes() for path in GIVEN.glob("spec/*.txt")}
    assert {path.name: path.read_bytes() for path in DOCUMENTS.glob("*.txt")} == originals


@given
def test_the_blocks_are_those_of_the_reference() -> None:
    reference = (GIVEN / "reference" / "modal-storage.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (S\d:\d+-\d+) \|", reference, re.MULTILINE)
    assert rows == [(str(block.number), block.where) for block in BLOCKS.values()]
