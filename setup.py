"""Adds the manual, made from the texts of the commands, to what setuptools builds.

All else is in pyproject.toml.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def load_command_line() -> None:
    """Let ``volfs_cli`` be the folder cli/, as it is once it is installed."""
    sys.path.insert(0, str(ROOT))
    place = ROOT / "cli"
    spec = importlib.util.spec_from_file_location(
        "volfs_cli", place / "__init__.py", submodule_search_locations=[str(place)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = sys.modules["volfs_cli"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


class BuildWithManual(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            self.make_manual()

    def make_manual(self) -> None:
        load_command_line()
        from volfs_cli.main import cli
        from volfs_cli.manual import write_manual

        build = self.get_finalized_command("build")
        place = Path(build.build_base) / "man"
        place.mkdir(parents=True, exist_ok=True)
        sections: dict[str, list[str]] = {}
        for path in write_manual(cli, self.distribution.get_version(), place):
            sections.setdefault(f"share/man/man{path.suffix[1:]}", []).append(str(path))
        self.distribution.data_files = list(sections.items())


setup(cmdclass={"build_py": BuildWithManual})
