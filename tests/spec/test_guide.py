"""Modal's guide to volumes: its example of visibility, and what makes a reload wait."""

from __future__ import annotations

import pytest

from tests.spec.contents import upload
from tests.spec.setting import Setting

pytestmark = pytest.mark.fuse

VISIBILITY = """
    volume = modal.Volume.from_name("guide", create_if_missing=True)
    p = Path("/root/foo/bar.txt")

    @app.function(volumes={"/root/foo": volume})
    def f():
        p.write_text("hello")
        print(f"Created {p=}")
        volume.commit()
        print(f"Committed {p=}")

    @app.function(volumes={"/root/foo": volume})
    def g(reload=False):
        if reload:
            volume.reload()
        if p.exists():
            print(f"{p=} contains '{p.read_text()}'")
        else:
            print(f"{p=} does not exist!")
"""


def test_who_sees_what_and_when(setting: Setting, capfd: pytest.CaptureFixture[str]) -> None:
    """A container sees what others committed after its own reload, and not before."""
    setting.define(VISIBILITY)
    setting["g"].remote()
    setting["f"].remote()
    setting["g"].remote(reload=False)
    setting["g"].remote(reload=True)
    said = "p=PosixPath('/root/foo/bar.txt')"
    assert capfd.readouterr().out.splitlines() == [
        f"{said} does not exist!",
        f"Created {said}",
        f"Committed {said}",
        f"{said} does not exist!",
        f"{said} contains 'hello'",
    ]


def test_what_keeps_a_volume_busy(setting: Setting) -> None:
    """Open files, of this process or a child, and mappings; a working directory does not."""
    setting.define("""
        import mmap, subprocess
        volume = modal.Volume.from_name("guide", create_if_missing=True)

        def attempt():
            try:
                volume.reload()
            except RuntimeError as error:
                return str(error)

        @app.function(volumes={"/data": volume})
        def hold():
            said = []
            with open("/data/a"):
                said.append(attempt())
            child = subprocess.Popen(["sleep", "1000"], stdin=open("/data/deep/b"))
            said.append(attempt())
            child.kill()
            child.wait()
            with open("/data/a") as file:
                mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            said.append(attempt())
            mapped.close()
            os.chdir("/data/deep")
            said.append(attempt())
            os.chdir("/")
            return said
    """)
    for path in ("a", "deep/b"):
        upload(setting["volume"], setting.write("uploaded"), path)
    own, child, mapping, place = setting["hold"].remote()
    busy = "volume busy: there are open files preventing the operation: path"
    assert own.startswith(f"{busy} a is open from '")
    assert f"{busy} deep/b is open" in child
    assert "from 'sleep 1000'" in child
    assert mapping.startswith(f"{busy} a is open from '")
    assert place is None
