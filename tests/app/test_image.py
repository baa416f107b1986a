"""Images: steps that are done once, and what containers see of them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

import volfs as modal
from volfs.api.apps import notes
from volfs.api.apps.building import is_ignored
from volfs.exception import ImageBuildError, InvalidError, NotFoundError, RemoteError

slim = modal.Image.debian_slim()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a.txt, b.md and sub/c.txt."""
    path = tmp_path / "files"
    (path / "sub").mkdir(parents=True)
    for name in ("a.txt", "b.md", "sub/c.txt"):
        (path / name).write_text(name)
    return path


def make_wheel(directory: Path) -> Path:
    """A package ``teapot`` with a program."""
    path = directory / "teapot-1.0-py3-none-any.whl"
    info = "teapot-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("teapot.py", "def pour():\n    return 'tea'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: teapot\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


def look(*paths: str) -> list[str | None]:
    """In a container: what these files say."""
    return [Path(p).read_text() if Path(p).is_file() else None for p in paths]


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of images run, also as root."""
    monkeypatch.setenv("VOLFS_RUN_COMMANDS", "machine")


def test_an_image_stays_as_it_is() -> None:
    one = slim.env({"A": "1"})
    assert slim.build().environment == {}
    assert one.env({"B": "2"}).build().environment == {"A": "1", "B": "2"}
    assert one.build().environment == {"A": "1"}
    assert one.workdir("/srv").build().workdir == "/srv"


def test_places_are_absolute(files: Path) -> None:
    with pytest.raises(InvalidError, match=r"add_local_file\(\) currently only supports absolute"):
        slim.add_local_file(files / "a.txt", "a.txt")
    with pytest.raises(InvalidError, match=r"add_local_dir\(\) currently only supports absolute"):
        slim.add_local_dir(files, "files")


def test_steps_come_before_files_that_are_not_copied(files: Path) -> None:
    image = slim.add_local_dir(files, "/srv/files")
    for step in (
        lambda: image.pip_install("x"),
        lambda: image.run_commands("true"),
        lambda: image.run_function(look),
    ):
        with pytest.raises(InvalidError, match="copy=True"):
            step()
    assert image.env({"A": "1"}).build().environment == {"A": "1"}
    slim.add_local_dir(files, "/srv/files", copy=True).run_commands("true")


def test_a_directory_without_what_is_ignored(files: Path) -> None:
    built = slim.add_local_dir(files, "/srv/files/", ignore=["**/*.txt", "!sub"]).build()
    (bind,) = built.binds
    assert bind.path == "/srv/files"
    names = sorted(p.relative_to(bind.source) for p in bind.source.rglob("*") if p.is_file())
    assert names == [Path("b.md"), Path("sub/c.txt")]


def test_ignoring() -> None:
    def ignored(path: str, *patterns: str) -> bool:
        return is_ignored(Path(path), patterns)

    assert ignored("a.pyc", "*.pyc")
    assert not ignored("d/a.pyc", "*.pyc")
    assert ignored("d/a.pyc", "**/*.pyc")
    assert ignored(".git/x/y", ".git")
    assert not ignored("d/keep", "d", "!d/keep")
    assert is_ignored(Path("a"), lambda path: path.name == "a")


def test_a_copy_is_as_it_was(files: Path) -> None:
    (before,) = slim.add_local_file(files / "a.txt", "/srv/", copy=True).build().binds
    assert before.path == "/srv/a.txt"
    (files / "a.txt").write_text("changed")
    assert before.source.read_text() == "a.txt"
    (after,) = slim.add_local_file(files / "a.txt", "/srv/", copy=True).build().binds
    assert after.source.read_text() == "changed"


def test_what_is_not_there() -> None:
    with pytest.raises(NotFoundError, match="no-such-file"):
        slim.add_local_file("/no-such-file", "/srv/x").build()
    with pytest.raises(NotFoundError, match="no_such_module"):
        slim.add_local_python_source("no_such_module")
    with pytest.raises(InvalidError, match="only supports volumes"):
        slim.run_commands("true", volumes={"/s3": modal.CloudBucketMount("b")})


@pytest.mark.noisy("apt-get install ffmpeg", "python_version")
def test_what_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    modal.Image.debian_slim(python_version="3.11").apt_install("ffmpeg")
    assert "apt-get install ffmpeg" in caplog.text


def test_packages_are_installed_once(tmp_path: Path, cache: Path) -> None:
    image = slim.pip_install(str(make_wheel(tmp_path)), extra_options="--no-index")
    (lib,) = image.build().import_paths
    assert (Path(lib) / "teapot.py").is_file()
    (Path(lib) / "mark").touch()
    assert image.build().import_paths == (lib,)
    assert (Path(lib) / "mark").exists()
    with pytest.raises(RemoteError, match="no-such-package"):
        slim.pip_install("no-such-package", extra_options="--no-index").build()


def test_a_file_of_requirements_is_read_again_when_it_changes(tmp_path: Path) -> None:
    make_wheel(tmp_path)
    wanted = tmp_path / "requirements.txt"
    wanted.write_text(f"# for the break\n--no-index\n--find-links {tmp_path}  # here\nteapot\n")
    image = slim.pip_install_from_requirements(wanted)
    (lib,) = image.build().import_paths
    assert (Path(lib) / "teapot.py").is_file()
    wanted.write_text(wanted.read_text() + "no-such-package\n")
    assert image.build().import_paths == (lib,)
    with pytest.raises(RemoteError, match="no-such-package"):
        slim.pip_install_from_requirements(wanted).build()
    with pytest.raises(FileNotFoundError):
        slim.pip_install_from_requirements(tmp_path / "nothing.txt")


@pytest.mark.fuse
def test_containers_have_it_all(tmp_path: Path, files: Path, place: Path) -> None:
    app = modal.App("imaged")
    image = (
        slim.pip_install(str(make_wheel(tmp_path)), extra_options="--no-index")
        .env({"POT": "image", "CUP": "image"})
        .workdir(str(files))
        .add_local_dir(files, "/volfs-test/files")
        .add_local_file(files / "a.txt", "/volfs-test/one.txt")
    )

    @app.function(image=image, env={"CUP": "own"})
    def see() -> list[str | None]:
        import teapot  # type: ignore[import-not-found]

        try:
            Path("/volfs-test/files/new").touch()
        except OSError as error:
            said = error.strerror
        texts = [p.read_text() for p in map(Path, ("/volfs-test/files/sub/c.txt", "b.md"))]
        return [teapot.pour(), os.environ["POT"], os.environ["CUP"], said, *texts]

    with app.run():
        assert see.remote() == ["tea", "image", "own", "Read-only file system", "sub/c.txt", "b.md"]


@pytest.mark.fuse
@pytest.mark.usefixtures("allowed")
def test_a_function_is_run_once_for_a_volume(place: Path, tmp_path: Path) -> None:
    volume = modal.Volume.from_name("models", create_if_missing=True)

    def download(name: str) -> None:
        with Path("/models", name).open("a") as file:
            file.write("weights\n")

    image = slim.run_function(download, volumes={"/models": volume}, args=("m",)).run_commands(
        "echo line >> /models/lines", volumes={"/models": volume}
    )
    app = modal.App("models", image=image)
    function = app.function(volumes={"/models": volume})(look)
    for _ in range(2):
        with app.run():
            assert function.remote("/models/m", "/models/lines") == ["weights\n", "line\n"]
    bad = modal.App("bad", image=slim.run_commands("exit 3"))
    with bad.run(), pytest.raises(RemoteError, match="'exit 3' failed with status 3"):
        bad.function()(look).remote()


@pytest.mark.fuse
@pytest.mark.usefixtures("place")
def test_commands_of_root_are_run_only_where_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("this is not root")
    (tmp_path / "machine").mkdir()
    monkeypatch.chdir(tmp_path / "machine")  # containers see it, below /tmp as it may be
    volume = modal.Volume.from_name("commands", create_if_missing=True)
    changing = slim.run_commands("echo done > file", volumes={"/models": volume})
    app = modal.App("commands", image=changing)
    function = app.function()(look)
    monkeypatch.delenv("VOLFS_RUN_COMMANDS", raising=False)
    one_line = r"run_commands: not run as root[^\n]*or set VOLFS_RUN_COMMANDS=machine$"
    with app.run(), pytest.raises(ImageBuildError, match=one_line):
        function.remote()
    monkeypatch.setenv("VOLFS_RUN_COMMANDS", "1")
    with app.run(), pytest.raises(InvalidError, match="'1', and can only be 'machine'"):
        function.remote()
    assert not os.listdir()
    monkeypatch.setenv("VOLFS_RUN_COMMANDS", "machine")
    with app.run():
        assert function.remote("file") == ["done\n"]
    monkeypatch.delenv("VOLFS_RUN_COMMANDS")
    changing.build()  # of which nothing is left to do
    assert slim.run_commands() == slim.run_commands([]) == slim


@pytest.mark.noisy(
    "not run", "not empty", "not fetched", "python_version", "micromamba", "add_python"
)
def test_what_has_no_meaning_is_noted_and_the_rest_done(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "_noted", set())
    image = (
        modal.Image.micromamba(python_version="3.12")
        .micromamba_install("numpy", channels=["forge"])
        .entrypoint(["/bin/start"])
        .entrypoint([])
        .cmd(["python"])
        .shell(["bash", "-ec"])
        .pipe(lambda image, key, value: image.env({key: value}), "A", value="1")
    )
    for text in ("micromamba_install -c forge numpy", "entrypoint /bin/start", "cmd python"):
        assert text in caplog.text
    assert image.build().environment == {"A": "1"}
    assert image._find_shell() == ("bash", "-ec")
    assert slim._find_shell() == ("sh", "-c")
    for begin in (
        modal.Image.from_scratch(),
        modal.Image.from_aws_ecr("aws/x", modal.Secret.from_dict({}), add_python="3.11"),
        modal.Image.from_gcp_artifact_registry("gcp/x", setup_dockerfile_commands=["ENV B=2"]),
    ):
        assert begin.build().workdir is None
    for wrong in ("bash", [1], None):
        for method in (slim.shell, slim.entrypoint, slim.cmd):
            with pytest.raises(InvalidError, match="takes a list of words"):
                method(wrong)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="images have no names here"):
        modal.Image.from_name("base").build()


def test_one_place_within_another(files: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra.txt"
    extra.write_text("extra")

    def look_at(image: modal.Image) -> dict[str, str]:
        (bind,) = image.build().binds
        assert bind.path == "/srv"
        paths = [path for path in bind.source.rglob("*") if path.is_file()]
        return {str(path.relative_to(bind.source)): path.read_text() for path in paths}

    mine = {name: name for name in ("a.txt", "b.md", "sub/c.txt")}
    whole = slim.add_local_dir(files, "/srv")
    assert look_at(whole.add_local_file(extra, "/srv/deep/x.txt")) == {
        **mine,
        "deep/x.txt": "extra",
    }
    before = slim.add_local_file(extra, "/srv/x.txt", copy=True)
    assert look_at(before.add_local_dir(files, "/srv", copy=True)) == {**mine, "x.txt": "extra"}
    same = slim.add_local_dir(files / "sub", "/srv").add_local_dir(files, "/srv")
    assert look_at(same) == {**mine, "c.txt": "sub/c.txt"}
    assert look_at(whole) == mine
    two = whole.add_local_file(extra, "/srv/a.txt").build().binds
    assert [bind.path for bind in two] == ["/srv", "/srv/a.txt"]


@pytest.mark.fuse
def test_a_workdir_that_is_not_there(place: Path) -> None:
    app = modal.App("away", image=slim.workdir("/volfs-no-such/place"))

    @app.function()
    def write() -> tuple[str, list[str]]:
        Path("new").touch()
        return os.getcwd(), os.listdir()

    with app.run():
        assert write.remote() == ("/volfs-no-such/place", ["new"])
    assert not Path("/volfs-no-such").exists()
