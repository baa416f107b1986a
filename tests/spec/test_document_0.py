"""S0, "Storage Reference"."""

from __future__ import annotations

from pathlib import Path

import pytest

import volfs as modal
from tests.harness.mount_namespace import are_mounts_isolated
from tests.harness.tls_door import answering_as
from tests.spec.blocks import BLOCKS
from tests.spec.buckets import Buckets
from tests.spec.contents import names, read
from tests.spec.setting import Setting, Shell, make_wheel

HUB = """
import pathlib

def snapshot_download(name, local_dir):
    pathlib.Path(local_dir).mkdir()
    pathlib.Path(local_dir, "weights").write_text(f"of {name}")
"""
PROBE = """
    @app.function(secrets=[{}])
    def look(*names):
        return [os.environ.get(name) for name in names]
"""


@pytest.mark.fuse
@pytest.mark.block(1, "as written")
def test_written_and_read(setting: Setting) -> None:
    """What one container commits another reads, also one that ran before"""
    setting.run(1)
    with pytest.raises(FileNotFoundError):
        setting["read_data"].remote()
    setting["write_data"].remote()
    assert setting["read_data"].remote() == "Hello!"


@pytest.mark.fuse
@pytest.mark.block(2, "as on Modal")
def test_operations(setting: Setting) -> None:
    """RuntimeError where it is not mounted; in a container all; files that are there stay"""
    setting.define('volume = modal.Volume.from_name("my-volume", create_if_missing=True)')
    setting["volume"].hydrate()
    for name in ("local.txt", "local_dir/a", "local_dir/deep/b"):
        setting.write(name)
    setting.define("""
        @app.function(volumes={"/data": volume})
        def inside(block, directory):
            os.chdir(directory)
            exec(block, {"volume": volume})
    """)
    with pytest.raises(RuntimeError, match="my-volume"):
        setting.run(2)
    arguments = BLOCKS[2].text, str(setting.directory)
    setting["inside"].remote(*arguments)
    assert names(setting["volume"]) == {
        "remote/file.txt",
        "remote/dir/a",
        "remote/dir/deep/b",
    }
    with pytest.raises(FileExistsError):
        setting["inside"].remote(*arguments)


@pytest.mark.block(3, "as written")
def test_volume_commands(shell: Shell, directory: Path) -> None:
    """All commands; a directory comes back below one that is there; rm of nothing fails"""
    modal.Volume.objects.create("other")
    (directory / "local").mkdir()
    (directory / "local" / "a.txt").write_text("a")
    listed, created, contents, put, get, rm = shell.run(3)
    assert [done.status for done in (listed, created, contents, put, get)] == [0] * 5
    assert (directory / "local" / "remote" / "a.txt").read_text() == "a"
    assert (rm.status, rm.err) == (1, "volfs: rm: path: no such file or directory\n")
    assert [shell.call(done.command).status for done in (created, put)] == [1, 2]


def test_volume_commands_with_a_file(shell: Shell, directory: Path) -> None:
    modal.Volume.objects.create("other")
    (directory / "local").write_text("old")
    assert [done.status for done in shell.run(3)] == [0, 0, 0, 0, 2, 1]
    assert shell.call("modal volume get my-vol remote - ").out == "old"


@pytest.mark.fuse
@pytest.mark.block(4, "as written")
def test_a_model_is_downloaded_once(setting: Setting, packages: Path) -> None:
    """What an image's build writes to the volume is in it; a class's container loads it"""
    make_wheel(packages, "huggingface_hub", HUB)
    setting.define("""
        loaded = modal.Queue.from_name("loaded", create_if_missing=True)

        def load_model(path):
            loaded.put(Path(path, "weights").read_text())
    """)
    setting.run(4)
    setting.define("""
        @app.function(image=image)
        def build():
            pass

        # The block's class has no method, so nothing would ever start a container of it.
        @app.cls(volumes={"/models": volume})
        class Called(Model._target.user_class):
            @modal.method()
            def call(self):
                pass
    """)
    setting["build"].remote()
    setting.stop()
    setting["build"].remote()  # a second download would find the directory there, and fail
    assert read(setting["volume"], "my-model/weights") == "of model-id"
    setting["Called"]().call.remote()
    assert setting["loaded"].get(timeout=0) == "of model-id"


@pytest.mark.block(5, "as written")
def test_secret_commands(shell: Shell) -> None:
    """Both are made, once; the shell's variable is in the second"""
    shell.environment["PGPASS"] = "from the shell"
    assert [done.status for done in shell.run(5)] == [0, 0]
    assert [done.status for done in shell.run(5)] == [1, 1]
    secret = modal.Secret.from_name("db-creds", required_keys=["PGHOST", "PGUSER", "PGPASS"])
    secret.hydrate()


@pytest.mark.block(6, "as written")
def test_a_secret_is_made(setting: Setting) -> None:
    """Made; the second time it exists already"""
    setting.run(6)
    assert [secret.name for secret in modal.Secret.objects.list()] == ["my-secret"]
    with pytest.raises(modal.exception.AlreadyExistsError, match="my-secret"):
        setting.run(6)


@pytest.mark.fuse
@pytest.mark.block(7, "as written")
def test_a_secret_is_used(setting: Setting) -> None:
    """Its values are environment variables; the Secret of block 6 lacks the key: KeyError"""
    setting.run(6, 7)
    with pytest.raises(KeyError, match="API_KEY"):
        setting["use_secret"].remote()
    modal.Secret.from_name("my-secret").update({"API_KEY": "value"})
    setting.stop()
    assert setting["use_secret"].remote() is None


@pytest.mark.fuse
@pytest.mark.block(8, "as written")
def test_two_secrets(setting: Setting) -> None:
    """Both are there; where both have a key, it is the later one's"""
    modal.Secret.objects.create("openai-secret", {"A": "openai", "B": "openai"})
    modal.Secret.objects.create("db-secret", {"B": "db", "C": "db"})
    setting.run(8)
    assert setting["multi_secret"].remote() is None
    setting.define(
        PROBE.format('modal.Secret.from_name("openai-secret"), modal.Secret.from_name("db-secret")')
    )
    assert setting["look"].remote("A", "B", "C") == ["openai", "db", "db"]


@pytest.mark.fuse
@pytest.mark.block(9, "as written")
def test_secrets_from_here(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's variables, missing ones told at once; `.env` of the current directory"""
    monkeypatch.delenv("API_KEY", raising=False)
    with pytest.raises(modal.exception.InvalidError, match="API_KEY"):
        setting.run(9)
    for name in ("API_KEY", "DB_URL"):
        monkeypatch.setenv(name, f"my {name}")
    setting.write(".env", "DOTTED='from a file'\n")
    setting.run(9)
    assert setting["from_env"].remote() is None
    assert setting["from_dotenv"].remote() is None
    given = 'modal.Secret.from_local_environ(["API_KEY", "DB_URL"]), modal.Secret.from_dotenv()'
    setting.define(PROBE.format(given))
    for name in ("API_KEY", "DB_URL"):
        monkeypatch.delenv(name)
    seen = setting["look"].remote("API_KEY", "DB_URL", "DOTTED")
    assert seen == ["my API_KEY", "my DB_URL", "from a file"]


@pytest.mark.fuse
@pytest.mark.block(10, "as written")
def test_an_inline_secret(setting: Setting) -> None:
    """`DEBUG` is there"""
    setting.run(10)
    assert setting["debug_function"].remote() is None
    setting.define(PROBE.format('modal.Secret.from_dict({"DEBUG": "1"})'))
    assert setting["look"].remote("DEBUG") == ["1"]


@pytest.mark.fuse
@pytest.mark.block(11, "as written")
def test_a_bucket_of_s3(setting: Setting, s3: Buckets) -> None:
    """Its file is read, and `read_only=True` keeps the bucket as it is: EROFS"""
    modal.Secret.objects.create("aws-secret", s3.secret)
    s3.put("my-bucket", {"file.txt": "content"})
    setting.run(11)
    assert setting["read_s3"].remote() == "content"
    setting.define("""
        @app.function(volumes={"/data": bucket})
        def spoil():
            Path("/data/file.txt").write_text("other")
    """)
    with pytest.raises(OSError, match="Read-only file system"):
        setting["spoil"].remote()


@pytest.mark.fuse
@pytest.mark.noisy("means nothing on one machine")
@pytest.mark.skipif(
    not are_mounts_isolated(), reason="it changes /etc/hosts, where nobody else may see it"
)
@pytest.mark.block(12, "as written")
def test_a_bucket_of_r2(setting: Setting, s3: Buckets, tmp_path: Path) -> None:
    """A container mounts it from the host that the block names, by HTTPS; a file is there"""
    s3.put("my-bucket", {"large.bin": "large"})
    host = "xxx.r2.cloudflarestorage.com"
    with answering_as(host, s3.secret["AWS_ENDPOINT_URL"], tmp_path) as certificate:
        keys = {name: s3.secret[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        modal.Secret.objects.create("r2-secret", keys | {"AWS_CA_BUNDLE": str(certificate)})
        setting.run(12)
        assert setting["bucket"].bucket_type == "r2"
        assert setting["process_large_dataset"].remote() is None
        setting.define("""
            @app.function(volumes={"/data": bucket})
            def look():
                return Path("/data/large.bin").read_text()
        """)
        assert setting["look"].remote() == "large"
        setting.stop()


@pytest.mark.fuse
@pytest.mark.block(13, "as written, beyond Modal")
def test_a_bucket_of_gcs(setting: Setting, google: Buckets) -> None:
    """Without an endpoint, it is the secret that says it is Google's"""
    modal.Secret.objects.create("gcp-secret", google.secret)
    google.put("my-gcs-bucket", {"d/a": "of Google"})
    setting.run(13)
    setting.define("""
        @app.function(volumes={"/data": bucket})
        def look():
            return Path("/data/d/a").read_text()
    """)
    assert setting["look"].remote() == "of Google"


@pytest.mark.fuse
@pytest.mark.block(14, "as written")
def test_arguments(setting: Setting) -> None:
    """Bytes go to the container and a dict comes back, also outside `app.run()`"""
    setting.write("file.bin", "12345")
    setting.run(14)
    assert setting["result"] == {"size": 5}


@pytest.mark.fuse
@pytest.mark.block(15, "as on Modal")
def test_a_large_file(setting: Setting) -> None:
    """The block is wrong: the mount is `/input`, so what it uploads is `/input/input/data.bin`"""
    setting.define("analyze = len")
    setting.run(15)
    local = str(setting.write("local.bin", "12345"))
    with pytest.raises(FileNotFoundError):
        setting["upload_and_process"](local)
    with pytest.raises(FileExistsError):
        setting["upload_and_process"](local)
    assert setting["process_file"].remote("/input/input/data.bin") == 5


@pytest.mark.fuse
@pytest.mark.block(16, "as written")
def test_files_of_an_image(setting: Setting) -> None:
    """A directory and a file of this machine are in the container"""
    setting.write("data/deep/a.txt", "a")
    setting.write("config.json", "{}")
    setting.run(16)
    setting.define("""
        @app.function(image=image)
        def look():
            return [Path("/app", name).read_text() for name in ("data/deep/a.txt", "config.json")]
    """)
    assert setting["look"].remote() == ["a", "{}"]
