"""``image.imports()``: modules that only containers have."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import volfs as modal
from volfs.api.apps.absent import Absent

KETTLE = """
def boil(degrees):
    return f"boiled at {degrees}"

class Lid:
    pass
"""


@pytest.fixture
def image(tmp_path: Path) -> modal.Image:
    """In whose containers there is a package ``kettle``, with a module ``kettle.parts``."""
    package = tmp_path / "kettle"
    package.mkdir()
    (package / "__init__.py").write_text(KETTLE)
    (package / "parts.py").write_text("SPOUT = 'spout'\n")
    return modal.Image.debian_slim().env({"PYTHONPATH": str(tmp_path)})


@pytest.mark.fuse
def test_containers_have_what_the_program_lacks(image: modal.Image, place: Path) -> None:
    app = modal.App("kitchen", image=image)
    with image.imports():
        import json

        import kettle
        import kettle.parts as parts
        from kettle import boil
        from kettle.parts import SPOUT

    assert isinstance(kettle, Absent)
    assert not [name for name in sys.modules if name.startswith("kettle")]

    @app.function()
    def use() -> list[str]:
        lid = type(kettle.Lid()).__name__
        return [kettle.boil(90), boil(80), parts.SPOUT, SPOUT, lid, json.dumps(1)]

    with app.run():
        assert use.remote() == ["boiled at 90", "boiled at 80", "spout", "spout", "Lid", "1"]


def test_what_is_absent_cannot_be_used_here(image: modal.Image) -> None:
    with image.imports():
        import kettle
    with pytest.raises(ImportError, match=r"kettle\.boil is not installed here"):
        kettle.boil(1)
    with pytest.raises(ImportError, match=r"kettle\.Lid"):

        class MyLid(kettle.Lid):
            pass


def test_imports_of_others_fail_as_ever(
    image: modal.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "here"
    directory.mkdir()
    (directory / "stove.py").write_text(
        "try:\n    import kettle\nexcept ImportError:\n    kettle = None\n"
    )
    monkeypatch.syspath_prepend(directory)
    with image.imports():
        import stove
    assert stove.kettle is None
    with pytest.raises(ModuleNotFoundError):
        import kettle  # noqa: F401


def test_what_a_block_raises_stays_in_it(
    image: modal.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    with image.imports():
        import kettle

        kettle.boil(1)
    with pytest.warns(UserWarning, match="left because of ValueError"), image.imports():
        raise ValueError("not an error of importing")
    for error in (KeyboardInterrupt, SystemExit):
        with pytest.raises(error), image.imports():
            raise error
    finders = list(sys.meta_path)
    with image.imports():
        raise ImportError
    assert sys.meta_path == finders
    # In a container of this image all is raised; in those of other images nothing is.
    monkeypatch.setenv("VOLFS_IS_REMOTE", "1")
    monkeypatch.setenv("VOLFS_IMAGE", image.identity)
    again = modal.Image.debian_slim().env({"PYTHONPATH": image.build().environment["PYTHONPATH"]})
    with pytest.raises(ModuleNotFoundError), again.imports():
        import nothing_of_the_kind
    with image.env({"OTHER": "1"}).imports():
        import nothing_of_the_kind  # noqa: F401
