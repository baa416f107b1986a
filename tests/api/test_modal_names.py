"""Modal's modules, exceptions and older names, where programs import them from."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import volfs as modal
from tests.api import modal_names
from volfs import exception
from volfs.errors.ported import UserCodeException

PARENTS = {
    "Error": "AlreadyExistsError AuthError ClientClosed ConnectionError DataLossError "
    "DeserializationError ExecutionError InternalError InternalFailure InvalidError "
    "LogsFetchError NotFoundError PermissionDeniedError RemoteError RequestSizeError "
    "ResourceExhaustedError SandboxFilesystemError SandboxTerminatedError SerializationError "
    "ServiceError SnapshotCreationError TimeoutError UnimplementedError VersionError "
    "WorkspaceManagementError",
    "InvalidError": "ConflictError",
    "RemoteError": "ImageBuildError",
    "TimeoutError": "ExecTimeoutError FunctionTimeoutError InteractiveTimeoutError "
    "MountUploadTimeoutError OutputExpiredError SandboxTimeoutError VolumeUploadTimeoutError",
    "SandboxFilesystemError": "SandboxFilesystemDirectoryNotEmptyError "
    "SandboxFilesystemFileTooLargeError SandboxFilesystemIsADirectoryError "
    "SandboxFilesystemNotADirectoryError SandboxFilesystemNotFoundError "
    "SandboxFilesystemPathAlreadyExistsError SandboxFilesystemPermissionError",
}
NO_ERRORS = {
    "AsyncUsageWarning": UserWarning,
    "DeprecationError": UserWarning,
    "InputCancellation": BaseException,
    "InternalAPIWarning": UserWarning,
    "ModuleNotMountable": Exception,
    "ServerWarning": UserWarning,
}


def test_exceptions_have_modals_parents() -> None:
    for parent, children in PARENTS.items():
        for child in children.split():
            assert issubclass(getattr(exception, child), getattr(exception, parent)), child
    for name, parent in NO_ERRORS.items():
        assert issubclass(getattr(exception, name), parent)
        assert not issubclass(getattr(exception, name), modal.Error)
    assert not issubclass(exception.InputCancellation, Exception)
    assert exception.UserCodeException is UserCodeException
    known = {*PARENTS, *NO_ERRORS, *" ".join(PARENTS.values()).split()}
    assert known <= set(exception.__all__)
    assert modal.Error is exception.Error


@pytest.mark.parametrize("name", sorted(modal._MODULES))
def test_every_module_can_be_imported(name: str) -> None:
    module = importlib.import_module(f"volfs.{name}")
    assert getattr(modal, name) is module
    for public in getattr(module, "__all__", ()):
        assert getattr(module, public) is not None


PROGRAM = """
import sys
import volfs
sys.modules["modal"] = volfs
import modal
import modal.volume
from modal.volume import FileEntryType, Volume
from modal.functions import FunctionCall
from modal.queue import Queue
from modal.dict import Dict
from modal.secret import Secret
from modal.app import App
from modal.image import Image
from modal.cls import Cls
from modal.mount import Mount
from modal.exception import NotFoundError, OutputExpiredError
from modal.types import BillingReportItem, FileEntry, VolumeInfo
from modal import gpu, experimental, config, types
assert (Volume, Queue, Dict, Secret) == (modal.Volume, modal.Queue, modal.Dict, modal.Secret)
assert (App, Image, Cls, FunctionCall) == (modal.App, modal.Image, modal.Cls, modal.FunctionCall)
assert NotFoundError is volfs.exception.NotFoundError
assert str(gpu.A100(count=2, size="80GB")) == "A100-80GB:2"
assert config.config["environment"] == config.config.get("environment") == "test"
assert modal.types.FileEntryType is FileEntryType
assert modal.__version__
@modal.experimental.clustered(1)
def f(item: BillingReportItem, entry: FileEntry) -> VolumeInfo: ...
"""


def test_a_program_that_has_volfs_as_modal() -> None:
    """In a process of its own: what is aliased stays so."""
    env = {**os.environ, "MODAL_ENVIRONMENT": "test", "VOLFS_ENVIRONMENT": ""}
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, env=env)


def test_importing_volfs_imports_nothing_else() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, volfs; print(*(n for n in sys.modules if 'volfs' in n))",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert [name for name in said if not name.startswith("__editable__")] == ["volfs"]


def test_the_table_of_names_says_what_the_code_does() -> None:
    said = "`python -m tests.api.modal_names` writes docs/modal-names.md"
    assert modal_names.DOCUMENT.read_text() == modal_names.make_document(), said


def test_no_public_name_of_modal_is_absent() -> None:
    rows = map(modal_names.judge, modal_names.NAMES)
    assert [row.name for row in rows if row.verdict == modal_names.ABSENT] == []


def test_what_storage_does_takes_modals_parameters() -> None:
    storage = ("Volume", "Dict", "Queue", "Secret", "NetworkFileSystem", "CloudBucketMount")
    lacking = dict(modal_names.iter_lacking())
    assert not [name for name in lacking if name.partition(".")[0] in storage]


def test_an_id_may_be_given_by_its_kind() -> None:
    assert modal.Volume.from_id(volume_id="vo-1") is not None
    with pytest.raises(TypeError, match="dict_id"):
        modal.Volume.from_id(dict_id="di-1")
    with pytest.raises(TypeError, match="missing"):
        modal.Queue.from_id()


def test_older_ways_to_a_resource(tmp_path: Path) -> None:
    """In a process of its own, whose end removes what is new."""
    program = """
import warnings
warnings.simplefilter("ignore")
import volfs as modal
queue = modal.Queue.new()
queue.put(1)
assert queue.get() == 1
table = modal.Dict.new()
table["a"] = 1
assert table["a"] == 1
modal.Dict.from_name("named", create_if_missing=True)["b"] = 2
assert modal.Dict.lookup("named")["b"] == 2
try:
    modal.Volume.lookup("nothing")
except modal.exception.NotFoundError:
    print(table.object_id)
"""
    env = {**os.environ, "VOLFS_STORE": str(tmp_path / "store")}
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    client = modal.Client(str(tmp_path / "store"))
    with pytest.raises(exception.NotFoundError):
        modal.Dict.from_id(said.strip(), client=client).hydrate()
    client.close()


def test_python_m_volfs_is_the_command_line() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "volfs", "--help"], check=True, capture_output=True, text=True
    ).stdout
    assert said.startswith("Usage: volfs ")


TYPED = """
import volfs as modal
from volfs.functions import FunctionCall
from volfs.volume import FileEntry, Volume
from volfs.experimental import Stream

app = modal.App("typed")

@app.function(volumes={"/data": Volume.from_name("x")})
def double(number: int) -> str:
    return str(2 * number)

call: FunctionCall[str] = double.spawn(3)
text: str = call.get(index=0)
many: FunctionCall[str] = double.spawn_map([1, 2])
texts: list[str] = list(many.iter(start=1))
entries: list[FileEntry] = Volume.from_name("x").listdir("/")
ignore = modal.FilePatternMatcher("*.py")
image = modal.Image.debian_slim().add_local_dir(".", "/root", ignore=~ignore)

def takes(sandbox: modal.Sandbox, stream: Stream) -> None:
    sandbox.exec("ls")

number: int = call.get()
"""


def test_type_checkers_know_all_of_it(tmp_path: Path) -> None:
    """One line is wrong, and only that one is told."""
    program = tmp_path / "program.py"
    program.write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path}/cache"]
    said = subprocess.run([*command, str(program)], cwd=tmp_path, capture_output=True, text=True)
    told = said.stdout.splitlines()
    assert len(told) == 2, said.stdout
    assert f":{len(TYPED.splitlines())}: error: Incompatible types" in told[0]


@pytest.mark.noisy("accepted")
def test_older_names_work_and_warn() -> None:
    with pytest.warns(exception.DeprecationError, match="use App"):
        stub = modal.Stub("older")
    stub["tasks"] = 3
    assert stub["tasks"] == stub.tasks == 3
    with pytest.raises(KeyError):
        stub["nothing"]
    older = {"container_idle_timeout": 5, "secret": modal.Secret.from_dict({"A": "1"})}
    with pytest.warns(exception.DeprecationError, match="scaledown_window= for container_idle"):
        decorate = stub.function(**older, concurrency_limit=2, _experimental_boost=True)
    f = decorate(lambda: 1)
    chosen = f._target._options
    assert (chosen.scaledown_window, chosen.max_containers, len(chosen.secrets)) == (5, 2, 1)
    with pytest.warns(exception.DeprecationError, match="add_local_dir"):
        assert modal.Mount.from_local_dir("/tmp", remote_path="/x").remote_path == "/x"
    with pytest.warns(exception.DeprecationError):
        assert len(modal.create_package_mounts(["a", "b"])) == 2
    with pytest.warns(exception.DeprecationError):
        assert modal.build()(f) is f
    with pytest.raises(TypeError, match="nobody_knows"):
        stub.function(nobody_knows=1)
