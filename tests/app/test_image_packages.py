"""Images with packages: what is asked for, and what comes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import volfs as modal
from tests.app.test_image import make_wheel
from volfs.api.apps.installing import find_program
from volfs.exception import ImageBuildError, InvalidError, NotFoundError, RemoteError

slim = modal.Image.debian_slim()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Of uv, which finds its one dependency in a directory."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels)
    place = tmp_path / "project"
    place.mkdir()
    (place / "pyproject.toml").write_text(
        '[project]\nname = "kitchen"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = []\noptional-dependencies = { tea = ["teapot"] }\n'
        '[dependency-groups]\nbreak = ["teapot"]\n'
        f'[tool.uv]\nno-index = true\nfind-links = ["{wheels}"]\n'
    )
    return place


def has_teapot(image: modal.Image) -> bool:
    (packages,) = image.build().import_paths
    return (Path(packages) / "teapot.py").is_file()


@pytest.mark.fuse
def test_a_project_of_uv(project: Path, place: Path) -> None:
    image = slim.uv_sync(str(project), extras=["tea"])
    app = modal.App("kitchen", image=image)

    @app.function()
    def pour() -> list[str]:
        import os

        import teapot  # type: ignore[import-not-found]

        return [teapot.pour(), os.environ["PATH"].split(os.pathsep)[0]]

    with app.run():
        assert pour.remote() == ["tea", *image.build().programs]
    assert not (project / "uv.lock").exists()
    (packages,) = image.build().import_paths
    (Path(packages) / "mark").touch()
    assert slim.uv_sync(project, extras=["tea"]).build().import_paths == (packages,)
    assert (Path(packages) / "mark").exists(), "made once"


def test_uv_does_what_is_locked(project: Path) -> None:
    uv = find_program("uv")
    assert uv is not None
    subprocess.run([uv, "lock", "-q", "--project", str(project)], check=True)
    assert not has_teapot(slim.uv_sync(project))
    assert has_teapot(slim.uv_sync(project, groups=["break"]))
    file = project / "pyproject.toml"
    file.write_text(file.read_text().replace("dependencies = []", 'dependencies = ["nothing"]', 1))
    assert not has_teapot(slim.uv_sync(project))
    with pytest.raises(RemoteError, match="nothing"):
        slim.uv_sync(project, frozen=False).build()
    with pytest.raises(RemoteError, match="no-such-group"):
        slim.uv_sync(project, groups=["no-such-group"]).build()


def test_what_uv_sync_refuses(project: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="no such file"):
        slim.uv_sync(tmp_path)
    with pytest.raises(InvalidError, match="must be a list"):
        slim.uv_sync(project, extras="tea")
    file = project / "pyproject.toml"
    file.write_text(f"{file.read_text()}[tool.uv.workspace]\nmembers = []\n")
    with pytest.raises(InvalidError, match="workspaces"):
        slim.uv_sync(project)
    file.write_text("[")
    with pytest.raises(InvalidError, match="pyproject"):
        slim.uv_sync(project)


def test_a_pyproject(project: Path) -> None:
    file = project / "pyproject.toml"
    options = f"--no-index --find-links {project.parent / 'wheels'}"
    image = slim.pip_install_from_pyproject(file, ["tea"], extra_options=options)
    assert has_teapot(image)
    assert slim.pip_install_from_pyproject(str(file)) == slim
    with pytest.raises(InvalidError, match="no optional dependencies 'coffee'"):
        slim.pip_install_from_pyproject(file, ["coffee"])
    file.write_text("[tool.poetry.dependencies]\n")
    with pytest.raises(ValueError, match="poetry_install_from_file"):
        slim.pip_install_from_pyproject(file)
    with pytest.raises(FileNotFoundError):
        slim.pip_install_from_pyproject("no-such-file.toml")


def test_files_of_requirements(tmp_path: Path) -> None:
    make_wheel(tmp_path)
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("teapot\n")
    options = {"find_links": str(tmp_path), "extra_options": "--no-index"}
    assert has_teapot(slim.uv_pip_install(requirements=[str(wanted)], **options))
    assert has_teapot(
        slim.pip_install_from_requirements(wanted, str(tmp_path), extra_options="--no-index")
    )
    with pytest.raises(InvalidError, match="list of files"):
        slim.uv_pip_install(requirements="wanted.txt")  # type: ignore[arg-type]


def test_installing_has_variables(tmp_path: Path) -> None:
    make_wheel(tmp_path)
    place = str(tmp_path)
    options = {"extra_options": "--no-index", "gpu": None}
    assert has_teapot(slim.pip_install("teapot", env={"PIP_FIND_LINKS": place}, **options))
    assert has_teapot(slim.uv_pip_install("teapot", env={"UV_FIND_LINKS": place}, **options))
    assert slim.uv_pip_install() == slim
    with pytest.raises(TypeError, match="no_such_option"):
        slim.pip_install("teapot", no_such_option=1)


def test_pip_keeps_the_settings_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv, which is here, reads none of them. What would keep pip out of a folder is not one."""
    assert find_program("uv") is not None
    wheel = make_wheel(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    settings = tmp_path / "pip.conf"
    settings.write_text(
        f"[global]\nno-index = true\nfind-links = {tmp_path}\nrequire-virtualenv = true\n"
        "[install]\nuser = true\n"
    )
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    monkeypatch.setenv("PIP_PREFIX", str(elsewhere))
    assert has_teapot(slim.pip_install("teapot"))
    assert has_teapot(slim.dockerfile_commands("RUN pip install teapot==1.0"))
    assert not elsewhere.exists()
    assert slim.dockerfile_commands("RUN uv pip install --system teapot").step.by == "uv"
    wheel.unlink()
    with pytest.raises(ImageBuildError, match="No matching distribution found for teapot"):
        slim.pip_install("teapot<2").build()


def test_pip_does_what_uv_would_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert find_program("uv") is None
    make_wheel(tmp_path)
    image = slim.uv_pip_install("teapot", find_links=str(tmp_path), extra_options="--no-index")
    assert has_teapot(image)


def test_private_repositories() -> None:
    token = modal.Secret.from_dict({"GITHUB_TOKEN": "secret-word"})
    image = slim.pip_install_private_repos("github.com/me/one@main", git_user="me", secrets=[token])
    assert image.step.lines == ("git+https://me:${GITHUB_TOKEN}@github.com/me/one@main",)
    assert "secret-word" not in image.step.describe()
    both = slim.pip_install_private_repos("gitlab.com/me/two", git_user="me", secrets=[token])
    with pytest.raises(InvalidError, match="no GITLAB_TOKEN"):
        both.build()
    for wrong in ("https://github.com/me/one", "example.org/x", "github.com/me/x $HOME", 3):
        with pytest.raises(InvalidError, match="is no private repository"):
            slim.pip_install_private_repos(wrong, git_user="me", secrets=[token])  # type: ignore[arg-type]
    with pytest.raises(InvalidError, match="need secrets="):
        slim.pip_install_private_repos("github.com/me/one", git_user="me")


def test_a_project_of_poetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text("[tool.poetry]\n")
    with pytest.raises(NotFoundError, match=r"poetry\.lock: no such file; ignore_lockfile"):
        slim.poetry_install_from_file(file)
    image = slim.poetry_install_from_file(file, ignore_lockfile=True, with_=["a", "b"])
    assert image.step.arguments == ("--no-root", "--with", "a,b")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RemoteError, match="poetry is not installed: pip install poetry"):
        image.build()
