"""podman, with images, containers and settings in a folder of its own; and Debian for it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import ssl
import stat
import subprocess
from pathlib import Path

from tests.harness.mounted import wait_until
from volfs.control.mounts import list_mount_points

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/debian:bookworm-slim"
NPROC_OF_PODMAN = 32_768
"""It lowers its own limit to this."""
APT_CLEAN = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""


class Engine:
    """Calls podman. Whatever it left is gone after ``close``."""

    def __init__(self, place: Path, root: Path | None = None) -> None:
        """``root``: where images and containers are kept, if not in ``place``."""
        self.place = place
        self.device = _make_device(place / "fuse")
        settings = place / "containers.conf"
        settings.write_text(f"[containers]\ndefault_ulimits = {json.dumps(_limits())}\n")
        self._environment = {**os.environ, "CONTAINERS_CONF": str(settings)}
        self._command = ["podman", f"--root={root or place / 'root'}", f"--runroot={place}/run"]
        self._command += [f"--tmpdir={place}/tmp", "--storage-driver=overlay"]
        self._command += ["--cgroup-manager=cgroupfs", "--events-backend=file"]
        # crun refuses machines where some cgroups are of version 1 and others of 2.
        self._command += ["--runtime=runc"] if shutil.which("runc") else []

    def __call__(self, *arguments: str | Path) -> str:
        """What the call says. AssertionError, with what went wrong, if it fails."""
        done = self.call(*arguments)
        if done.returncode != 0:
            raise AssertionError(f"podman {arguments}: {done.returncode}\n{done.stderr}")
        return done.stdout

    def call(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *map(str, arguments)],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )

    def build(self, tag: str) -> None:
        """Build the project's image as everybody does."""
        limits = [f"--ulimit={limit}" for limit in _limits()]
        self("build", "--network=host", *limits, "--tag", tag, ROOT)

    def make_base(self) -> None:
        """Have Debian: from its registry, else made here. OSError, SubprocessError."""
        if self.call("pull", "-q", BASE).returncode == 0:
            return
        archive = self.place / "debian.tar"
        _make_debian(self.place / "debian", archive)
        self("import", archive, BASE)

    def close(self) -> None:
        self.call("rm", "--all", "--force", "--time=0")
        # What podman started at the end of a container may still be mounting and writing.
        wait_until(self._is_gone, f"the end of {self.place}", deadline=300)

    def _is_gone(self) -> bool:
        for mount in reversed(list_mount_points()):
            if mount.path.startswith(f"{self.place}/"):
                subprocess.run(["umount", "-l", mount.path], check=False)
        shutil.rmtree(self.place, ignore_errors=True)
        return not self.place.exists()


def _limits() -> list[str]:
    """As high as they are here: podman would raise them, which not every root may."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if processes == resource.RLIM_INFINITY or processes > NPROC_OF_PODMAN:
        processes = NPROC_OF_PODMAN
    return [f"nofile={files}:{files}", f"nproc={processes}:{processes}"]


def _make_device(path: Path) -> Path:
    """/dev/fuse as udev makes it, for all users, whatever it is on this machine."""
    os.mknod(path, stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    path.chmod(0o666)
    return path


def _make_debian(folder: Path, archive: Path) -> None:
    """What the registry's image is, with documentation; and it trusts whom this machine does."""
    subprocess.run(
        ["debootstrap", "--variant=minbase", "bookworm", folder], check=True, capture_output=True
    )
    for rest in (*folder.glob("var/cache/apt/*.bin"), *folder.glob("var/cache/apt/archives/*.deb")):
        rest.unlink()
    shutil.rmtree(folder / "var/lib/apt/lists")
    (folder / "etc/apt/apt.conf.d/docker-clean").write_text(APT_CLEAN)
    authorities = ssl.get_default_verify_paths().cafile
    if authorities:
        shutil.copy(authorities, folder / "etc/build-authorities.crt")
        (folder / "etc/pip.conf").write_text("[global]\ncert = /etc/build-authorities.crt\n")
    subprocess.run(["tar", "-C", folder, "-cf", archive, "."], check=True)
    shutil.rmtree(folder)
