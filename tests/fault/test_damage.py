"""Any stored file, damaged anywhere: it is noticed, or does not matter; never wrong bytes.

``VOLFS_DAMAGES`` says how many times (docs/reliability.md).
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import IO, Any, cast

import pytest

from tests.crash.children import first_seed, is_long
from tests.fault.damages import Damage, choose_damage, sort_of
from tests.fault.prober import Outcome
from tests.fault.sample import build_sample

ROOT = Path(__file__).parents[2]
DAMAGES = int(os.environ.get("VOLFS_DAMAGES", "20000" if is_long() else "100"))
RUN = "from tests.fault.prober import main; main()"


class Prober:
    """The process that forks the readers."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self) -> Any:
        asking, answering = cast(IO[bytes], self._process.stdin), self._process.stdout
        asking.write(b"\n")
        asking.flush()
        return pickle.load(cast(IO[bytes], answering))

    def close(self) -> None:
        self._process.communicate()


class Sample:
    """A store on disk, and its files as they were."""

    def __init__(self, path: Path) -> None:
        self.path = path
        build_sample(path)
        self.files = self._read()

    def _read(self) -> dict[str, bytes]:
        files = (p for p in sorted(self.path.rglob("*")) if p.is_file())
        return {str(p.relative_to(self.path)): p.read_bytes() for p in files}

    @property
    def damageable(self) -> dict[str, bytes]:
        return {name: data for name, data in self.files.items() if data}

    def damage(self, damage: Damage) -> None:
        (self.path / damage.file).write_bytes(damage.bytes)

    def restore(self) -> None:
        now = self._read()
        for name in now.keys() - self.files.keys():
            (self.path / name).unlink()
        for name, data in self.files.items():
            if now.get(name) != data:
                (self.path / name).write_bytes(data)


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path / "store")


@pytest.fixture
def prober(sample: Sample) -> Iterator[Prober]:
    prober = Prober(sample.path)
    yield prober
    prober.close()


def test_no_damage_shows_wrong_bytes(sample: Sample, prober: Prober, tmp_path: Path) -> None:
    prober.ask()
    sample.restore()
    counts: Counter[tuple[str, str]] = Counter()
    failures, seed = [], first_seed()
    for number in range(DAMAGES):
        damage = choose_damage(Random(f"{seed}/{number}"), sample.damageable)
        sample.damage(damage)
        outcome: Outcome = prober.ask()
        counts[sort_of(damage.file), outcome.verdict] += 1
        if outcome.verdict not in ("exact", "refused"):
            failures.append(f"{seed}/{number}: {damage}: {outcome}"[:1000])
            shutil.copytree(sample.path, tmp_path / f"failed-{number}")
        sample.restore()
    for (sort, verdict), count in sorted(counts.items()):
        print(f"{sort:14} {verdict:8} {count:6}")
    assert not failures, "\n".join(failures)
    assert {sort for sort, _ in counts} == {sort_of(name) for name in sample.damageable}
